import assert from "node:assert/strict";
import { permissionFlags } from "../../src/build/permissions.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const HOST = new URL("../../src/system/", import.meta.url);

/** What a process prints that looks at files and makes a link. */
const PROBE = `
import { fileExists, makeSymlink, readKernelFile } from "${HOST}files.ts";
const [dir] = Deno.args;
console.log(/^[0-9a-f-]{36}\\n$/.test(await readKernelFile("/proc/sys/kernel/random/boot_id")));
console.log(/^Max open files/m.test(await readKernelFile("/proc/self/limits")));
console.log(await readKernelFile("/proc/no-such-file").catch((e) => e.message.includes("No such file")));
for (const path of ["/proc/self/ns/net", "/proc/4194305/ns/net", dir, dir + "/no"]) {
  console.log(await fileExists(path));
}
makeSymlink(dir, dir + "/link");
console.log(Deno.readLinkSync(dir + "/link") === dir);
try { makeSymlink(dir, dir + "/link"); } catch (error) { console.log(error.name); }
`;

Deno.test("files of the kernel and links need no more rights than an executable has", async (t) => {
  const rows: readonly [name: string, flags: readonly string[]][] = [
    ["with all rights", ["-A"]],
    ["with those of an executable", permissionFlags()],
  ];
  for (const [name, flags] of rows) {
    await t.step(name, () =>
      withTempDir(async (dir) => {
        await Deno.writeTextFile(`${dir}/probe.ts`, PROBE);
        const { stdout, stderr } = await run(Deno.execPath(), [
          ...["run", "--no-config", "--quiet", ...flags],
          ...[`${dir}/probe.ts`, dir],
        ]);
        const expected = ["true", "true", "true", "true", "false", "true"]
          .concat("false", "true", "AlreadyExists");
        assert.deepEqual(stdout.trim().split("\n"), expected, stderr);
      }));
  }
});
