import assert from "node:assert/strict";
import { GRANTS, permissionFlags } from "../../src/build/permissions.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const PERMISSIONS = new URL(
  "../../src/build/permissions.ts",
  import.meta.url,
);

/** Runs statements as a built program would run them; `dir` is a folder, and what is thrown is printed by name. */
async function runGranted(dir: string, statements: string): Promise<string> {
  const file = `${dir}/probe.ts`;
  await Deno.writeTextFile(
    file,
    `import { keepFolders, dropPrograms } from "${PERMISSIONS}";
const dir = ${JSON.stringify(dir)};
try {
${statements}
} catch (error) { console.log((error as Error).name); }
void [keepFolders, dropPrograms, dir];
`,
  );
  const { stdout, stderr } = await run(
    Deno.execPath(),
    ["run", "--no-config", "--quiet", ...permissionFlags(), file],
    { env: { STELLAR_NET_PROBE: "seen", SECRET: "hidden" } },
  );
  assert.equal(stderr, "");
  return stdout.trim();
}

Deno.test("permissionFlags() gives a program the granted permissions, and no others", async (t) => {
  const rows: readonly [name: string, statements: string, prints: string][] = [
    [
      "run ip",
      'console.log((await new Deno.Command("ip", { args: ["-V"], stdout: "null" }).output()).code);',
      "0",
    ],
    ["run ls", 'await new Deno.Command("ls").output();', "NotCapable"],
    [
      "run ls by its path",
      'await new Deno.Command("/usr/bin/ls").output();',
      "NotCapable",
    ],
    [
      "run a file that has a granted name",
      'Deno.writeTextFileSync(dir + "/ip", "#!/bin/sh", { mode: 0o755 }); await new Deno.Command(dir + "/ip").output();',
      "NotCapable",
    ],
    ["load machine code", 'Deno.dlopen(dir + "/x.so", {});', "NotCapable"],
    [
      "import from elsewhere",
      'await import("http" + "://127.0.0.1:9/x.ts");',
      "TypeError",
    ],
    [
      "read its own variables",
      'console.log(Deno.env.get("STELLAR_NET_PROBE"));',
      "seen",
    ],
    ["read others", 'console.log(Deno.env.get("SECRET"));', "undefined"],
    ["list variables", "console.log(Deno.env.toObject().SECRET);", "undefined"],
    ["look below /proc", 'Deno.statSync("/proc/1/environ");', "NotCapable"],
    [
      "read itself",
      'console.log(Deno.readTextFileSync(dir + "/probe.ts").length > 0);',
      "true",
    ],
  ];
  for (const [name, statements, prints] of rows) {
    await t.step(name, () =>
      withTempDir(async (dir) => {
        assert.equal(await runGranted(dir, statements), prints);
      }));
  }
});

Deno.test("keepFolders() leaves a process those folders alone", async (t) => {
  const keep =
    'await keepFolders({ read: [dir + "/r"], write: [dir + "/w"] });';
  const rows: readonly [name: string, statement: string, prints: string][] = [
    ["write there", 'Deno.writeTextFileSync(dir + "/w/x", "");', ""],
    ["read there", 'Deno.readTextFileSync(dir + "/w/there");', ""],
    ["read what is read", 'Deno.readTextFileSync(dir + "/r/there");', ""],
    [
      "write what is read",
      'Deno.writeTextFileSync(dir + "/r/x", "");',
      "NotCapable",
    ],
    ["write beside", 'Deno.writeTextFileSync(dir + "/x", "");', "NotCapable"],
    [
      "write upwards",
      'Deno.writeTextFileSync(dir + "/w/../x", "");',
      "NotCapable",
    ],
    ["read beside", 'Deno.readTextFileSync("/etc/hostname");', "NotCapable"],
    [
      "read through a link that is there",
      'Deno.readTextFileSync(dir + "/w/link");',
      "",
    ],
    [
      "make a link to what is beside",
      'Deno.symlinkSync("/etc", dir + "/w/etc");',
      "NotCapable",
    ],
    [
      "ask for it again",
      'console.log((await Deno.permissions.request({ name: "write", path: "/" })).state);',
      "denied",
    ],
  ];
  for (const [name, statement, prints] of rows) {
    await t.step(name, () =>
      withTempDir(async (dir) => {
        for (const folder of ["r", "w"]) {
          await Deno.mkdir(`${dir}/${folder}`);
          await Deno.writeTextFile(`${dir}/${folder}/there`, "");
        }
        await Deno.symlink("/etc/hostname", `${dir}/w/link`);
        assert.equal(await runGranted(dir, `${keep}\n${statement}`), prints);
      }));
  }
});

Deno.test("dropPrograms() leaves a process no program to run", () =>
  withTempDir(async (dir) => {
    const statements =
      'await dropPrograms(); await new Deno.Command("ip").output();';
    assert.equal(await runGranted(dir, statements), "NotCapable");
  }));

Deno.test("keepFolders() takes nothing from a process that may do everything", () =>
  withTempDir(async (dir) => {
    const file = `${dir}/probe.ts`;
    await Deno.writeTextFile(
      file,
      `import { keepFolders } from "${PERMISSIONS}";
await keepFolders({ read: [], write: [] });
Deno.writeTextFileSync("${dir}/x", Deno.readTextFileSync("/etc/hostname"));
`,
    );
    const args = ["run", "-A", "--no-config", file];
    assert.equal((await run(Deno.execPath(), args)).code, 0);
  }));

Deno.test("every grant has a purpose, and is made once", () => {
  const named = GRANTS.flatMap(({ kind, values }) =>
    values.map((value) => `${kind} ${value}`)
  );
  assert.equal(new Set(named).size, named.length);
  assert.deepEqual(GRANTS.filter(({ why }) => why === ""), []);
});
