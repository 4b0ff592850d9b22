import assert from "node:assert/strict";
import { bundleProgram, renameParts } from "../../src/build/bundle_program.ts";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** What counts, and a part of it that requires a module of Node. */
const SOURCES = {
  "deno.json": "{}",
  "main.ts": `import "./first.ts";
if (Deno.args.length > 0) console.log((await import("./late.cjs")).default());
`,
  "first.ts": 'import("./late.cjs");\n',
  "late.cjs": 'module.exports = () => require("node:path").sep;\n',
};

Deno.test("bundleProgram() makes a bundle that gets at node:module only for what requires it", () =>
  withTempDir(async (dir) => {
    for (const [name, text] of Object.entries(SOURCES)) {
      await Deno.writeTextFile(`${dir}/${name}`, text);
    }
    await bundleProgram(new DenoCommandRunner(), {
      deno: Deno.execPath(),
      config: `${dir}/deno.json`,
      main: `${dir}/main.ts`,
      outDir: `${dir}/out`,
    });
    let text = "";
    for (const { name } of Deno.readDirSync(`${dir}/out`)) {
      text += await Deno.readTextFile(`${dir}/out/${name}`);
    }
    assert.match(text, /getBuiltinModule\("node:module"\)/);
    assert.doesNotMatch(text, /from ?"node:module"/);
    const args = ["run", "--no-config", `${dir}/out/main.js`, "call"];
    assert.equal((await run(Deno.execPath(), args)).stdout, "/\n");
  }));

/** A bundle whose parts import each other in a circle; the bundler's names are given. */
function bundle(
  a: string,
  b: string,
  { text = "" }: { readonly text?: string } = {},
): ReadonlyMap<string, string> {
  return new Map([
    ["main.js", `import("./a-${a}.js");import("./chunk-${b}.js")`],
    [`a-${a}.js`, `import"./chunk-${b}.js";export{}`],
    [`chunk-${b}.js`, `import"./a-${a}.js";"x-ABCDEFGH.js"${text}`],
  ]);
}

Deno.test("renameParts() names parts by their content alone", () => {
  const one = renameParts(bundle("AAAAAAAA", "BBBBBBBB"));
  assert.deepEqual(one, renameParts(bundle("12345678", "87654321")));
  const names = [...one.keys()];
  assert.equal(names[0], "main.js");
  assert.match(names[1]!, /^a-[0-9a-f]{12}\.js$/);
  assert.equal(
    one.get("main.js"),
    `import("./${names[1]}");import("./${names[2]}")`,
  );
  assert.ok(one.get(names[2]!)!.includes(`import"./${names[1]}"`));
  assert.ok(one.get(names[2]!)!.includes('"x-ABCDEFGH.js"'));
});

Deno.test("renameParts() renames the importers of a changed part", () => {
  const one = renameParts(bundle("AAAAAAAA", "BBBBBBBB"));
  const other = renameParts(
    bundle("AAAAAAAA", "BBBBBBBB", { text: "//" }),
  );
  const kept = [...one.keys()].filter((name) => other.has(name));
  assert.deepEqual(kept, ["main.js"]);
});
