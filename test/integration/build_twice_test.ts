import assert from "node:assert/strict";
import { build, type BuildOptions } from "../../src/build/build.ts";
import { findTarget } from "../../src/build/target.ts";
import { ROOT } from "../generate.ts";
import { allDone } from "../support/all_done.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** Runs what a build runs, however long that takes. */
const RUNNER: BuildOptions["runner"] = {
  run: ({ program, args }) => run(program, args, { timeoutMs: 300_000 }),
};

/** Copies the sources into a new folder, newer than they are. */
async function copySources(root: string): Promise<string> {
  await Deno.mkdir(root);
  const { code, stderr } = await run("cp", [
    ...["-R", "main.ts", "deno.json", "deno.lock", "src", root],
  ], { cwd: ROOT });
  assert.equal(code, 0, stderr);
  return root;
}

Deno.test("build() makes the same of the same sources, wherever they are", () =>
  withTempDir(async (dir) => {
    const target = findTarget(Deno.build.target);
    const first = await copySources(`${dir}/first`);
    const second = await copySources(`${dir}/second-with-a-longer-name`);
    const [one, two] = await allDone([first, second].map((root) =>
      build({
        ...{ root, target, kind: "self-extracting", runner: RUNNER },
        runtime: Deno.version.deno,
        output: `${root}/out/program`,
      })
    ));
    assert.equal(one!.digest, two!.digest);
    assert.deepEqual(one!.info, {
      kind: "self-extracting",
      // The copies are no checkouts.
      commit: null,
      modified: false,
      target: target.triple,
    });
    const outputs = [...Deno.readDirSync(`${first}/out`)].map((e) => e.name);
    assert.deepEqual(outputs.sort(), ["program", "program.sha256"]);
  }));

Deno.test("build() that fails leaves the former program", () =>
  withTempDir(async (dir) => {
    const root = await copySources(`${dir}/root`);
    await Deno.writeTextFile(`${root}/main.ts`, 'import "./missing.ts";\n');
    await Deno.mkdir(`${dir}/out`);
    await Deno.writeTextFile(`${dir}/out/program`, "earlier");
    await assert.rejects(
      build({
        ...{ root, kind: "self-extracting", runner: RUNNER },
        target: findTarget(Deno.build.target),
        runtime: Deno.version.deno,
        output: `${dir}/out/program`,
      }),
      { code: "unavailable", message: /^Cannot bundle ".*missing\.ts/s },
    );
    const outputs = [...Deno.readDirSync(`${dir}/out`)].map((e) => e.name);
    assert.deepEqual(outputs, ["program"]);
    assert.equal(await Deno.readTextFile(`${dir}/out/program`), "earlier");
  }));

Deno.test("the task refuses flags that it does not know", async (t) => {
  const rows: readonly [args: readonly string[], says: RegExp][] = [
    [["--target", "sparc"], /^Cannot build for "sparc": the targets are /],
    [["--kind", "other"], /^Cannot build the kind "other": there are /],
    [["--bogus"], /^Unknown option '--bogus'/],
  ];
  for (const [args, says] of rows) {
    await t.step(args.join(" "), async () => {
      const { code, stdout, stderr } = await run(Deno.execPath(), [
        ...["run", "-A", `${ROOT}/src/build/main.ts`, ...args],
      ]);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, says);
      assert.match(stderr, /Usage: deno task build/);
    });
  }
});
