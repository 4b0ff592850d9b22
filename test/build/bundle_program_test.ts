import assert from "node:assert/strict";
import { bundleProgram } from "../../src/build/bundle_program.ts";
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
    const failure = await bundleProgram(new DenoCommandRunner(), {
      deno: Deno.execPath(),
      config: `${dir}/deno.json`,
      main: `${dir}/main.ts`,
      outDir: `${dir}/out`,
    });
    assert.equal(failure, undefined);
    let text = "";
    for (const { name } of Deno.readDirSync(`${dir}/out`)) {
      text += await Deno.readTextFile(`${dir}/out/${name}`);
    }
    assert.match(text, /getBuiltinModule\("node:module"\)/);
    assert.doesNotMatch(text, /from ?"node:module"/);
    const args = ["run", "--no-config", `${dir}/out/main.js`, "call"];
    assert.equal((await run(Deno.execPath(), args)).stdout, "/\n");
  }));
