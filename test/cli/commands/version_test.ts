import assert from "node:assert/strict";
import type { BuildInfo } from "../../../src/build/build_info.ts";
import { runFake } from "../fake_io.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const TARGET = "aarch64-unknown-linux-gnu";
const RUNTIME = "runtime: Deno 2.0.0, V8 13.0, TypeScript 5.6.2";

Deno.test("version prints the version, as text and as JSON", async (t) => {
  const text = `stellar-net 1.2.3
build: from sources
commit: unknown
${RUNTIME}
`;
  const json = {
    schemaVersion: 1,
    version: "1.2.3",
    build: { kind: "sources", commit: null, modified: false, target: null },
    runtime: { deno: "2.0.0", v8: "13.0", typescript: "5.6.2" },
  };
  const rows: readonly [args: string, stdout: string][] = [
    ["version", text],
    ["--version", "stellar-net 1.2.3\n"],
    ["--socket a.sock version", text],
    ["version --json", `${JSON.stringify(json, undefined, 2)}\n`],
    ["--json version", `${JSON.stringify(json, undefined, 2)}\n`],
  ];
  for (const [args, stdout] of rows) {
    await t.step(args, async () => {
      const run = await runFake(args.split(" "));
      assert.deepEqual([run.code, run.stdout, run.stderr], [0, stdout, ""]);
    });
  }
});

Deno.test("version shows the build and its commit", async (t) => {
  const rows: readonly [build: BuildInfo, lines: readonly string[]][] = [
    [
      { kind: "compiled", commit: COMMIT, modified: false, target: TARGET },
      [`build: compiled, for ${TARGET}`, `commit: ${COMMIT}`],
    ],
    [
      {
        kind: "self-extracting",
        commit: COMMIT,
        modified: true,
        target: TARGET,
      },
      [
        `build: self-extracting, for ${TARGET}`,
        `commit: ${COMMIT}, with changes`,
      ],
    ],
  ];
  for (const [build, lines] of rows) {
    await t.step(build.kind, async () => {
      const { stdout } = await runFake(["version"], { build });
      assert.deepEqual(stdout.split("\n").slice(1, 3), lines);
    });
  }
});
