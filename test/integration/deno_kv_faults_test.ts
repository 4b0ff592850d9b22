import assert from "node:assert/strict";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import type { FullDiskReport } from "./full_disk_writer.ts";

// These take root, or a kernel that lets users have namespaces of their own;
// where neither is there they fail and say so.
const OWN_MOUNTS = Deno.uid() === 0
  ? ["--mount", "--propagation", "private"]
  : ["--user", "--map-root-user", "--mount", "--propagation", "private"];
const DENO_RUN = ["run", "--no-check", "--unstable-kv", "-A"];

Deno.test("commit() on a full disk fails, writes nothing by half, and works again after", async () => {
  await withTempDir(async (folder) => {
    const script = `set -e
      mount -t tmpfs -o size=24m none "$1"
      head -c 21m /dev/zero > "$1/filler"
      folder=$1; shift
      exec "$@" "$folder" "$folder/filler"`;
    const writer = new URL("./full_disk_writer.ts", import.meta.url).pathname;
    const result = await run("unshare", [
      ...[...OWN_MOUNTS, "bash", "-c", script, "bash", folder],
      ...[Deno.execPath(), ...DENO_RUN, writer],
    ]);
    assert.equal(result.code, 0, result.stderr);
    const report = JSON.parse(result.stdout) as FullDiskReport;
    assert.ok(report.acknowledged > 20, result.stdout);
    const full = "no space is left on the device; free some and try again";
    assert.deepEqual(report, {
      acknowledged: report.acknowledged,
      errors: [
        `unavailable: Cannot write to the state file "${folder}/state.db": ${full}`,
      ],
      broken: { full: 0, freed: 0, reopened: 0 },
      watcherAgrees: true,
      read: true,
      opening:
        `unavailable: Cannot open the state file "${folder}/other.db": ${full}`,
      afterwards: 20,
      large: report.large,
      largeChanged: 0,
      largeLater: true,
    });
    assert.match(
      report.large,
      /^unavailable: Cannot write to the state file .* the engine took it back/,
    );
  });
});

Deno.test("openDenoKv() refuses places where it may not write, and says which", async () => {
  await withTempDir(async (folder) => {
    const store = await openDenoKv({ path: `${folder}/state.db` });
    await store.close();
    await Deno.copyFile(`${folder}/state.db`, `${folder}/readonly.db`);
    await Deno.chmod(`${folder}/readonly.db`, 0o400);
    await Deno.chmod(folder, 0o500);
    const owner =
      "this user may not write there; run as the owner of the folder, or change its owner";
    const readOnly =
      "the file or its folder is read-only; make both writable, or choose another folder";
    const steps: [string, string][] = [
      [`${folder}/new.db`, owner],
      [`${folder}/readonly.db`, owner],
      [`${folder}/state.db`, readOnly],
    ];
    for (const [path, says] of steps) {
      const result = await openWithoutPrivilege(path);
      assert.equal(
        result.stdout,
        `failed_precondition: Cannot open the state file "${path}": ${says}\n`,
        result.stderr,
      );
    }
    await Deno.chmod(folder, 0o700);
  });
});

/** Opens a store in a process to which file modes apply, even if this one is root's. */
async function openWithoutPrivilege(path: string) {
  const module = new URL("../../src/store/deno_kv/deno_kv.ts", import.meta.url);
  const script = `import { openDenoKv } from ${JSON.stringify(module.href)};
    await openDenoKv({ path: ${JSON.stringify(path)} }).then(
      () => console.log("opened"),
      (error) => console.log(error.code + ": " + error.message),
    );`;
  const deno = [Deno.execPath(), "eval", "--no-check", "--unstable-kv", script];
  return Deno.uid() === 0
    ? await run("setpriv", [
      "--bounding-set=-dac_override,-dac_read_search",
      "--inh-caps=-all",
      ...deno,
    ])
    : await run(deno[0]!, deno.slice(1));
}
