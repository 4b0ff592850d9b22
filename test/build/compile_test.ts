import assert from "node:assert/strict";
import { compile, type CompileResult } from "../../src/build/compile.ts";
import { permissionFlags } from "../../src/build/permissions.ts";
import { findTarget } from "../../src/build/target.ts";
import type { Command, CommandRunner } from "../../src/system/command.ts";

const TARGET = findTarget("aarch64-unknown-linux-gnu");

/** A runner whose programs all end in one way; `ran` is what it has run. */
function ending(code: number, stderr: string) {
  const ran: Command[] = [];
  const runner: CommandRunner = {
    run(command) {
      ran.push(command);
      return Promise.resolve({ code, stdout: "", stderr });
    },
  };
  return { ran, runner };
}

Deno.test("compile() bakes the permissions in, for the target", async () => {
  const { ran, runner } = ending(0, "");
  const options = { target: TARGET, main: "main.js", output: "out", runner };
  assert.deepEqual(await compile(options), { kind: "compiled" });
  const { args } = ran[0]!;
  assert.deepEqual(args.slice(0, 1), ["compile"]);
  assert.equal(args[args.indexOf("--target") + 1], TARGET.triple);
  assert.equal(args.at(-1), "main.js");
  assert.deepEqual(
    permissionFlags().filter((flag) => !args.includes(flag)),
    [],
  );
  assert.equal(args.includes("-A"), false);
});

Deno.test("compile() tells a base runtime that cannot be had from other failures", async (t) => {
  const noBase = `Compile main.js to out
error: Writing deno compile executable to temporary file 'out.tmp-1'

Caused by:
    0: Setting up base binary.
    1: error sending request for url (https://example.com/denort.zip)
    2: dns error
    3: failed to lookup address information

Stack backtrace:
   0: <unknown>
`;
  const rows: readonly [stderr: string, result: CompileResult][] = [
    [noBase, {
      kind: "no base runtime",
      why: "failed to lookup address information",
    }],
    ["\x1b[31merror\x1b[0m: Module not found\n", {
      kind: "failed",
      why: "error: Module not found",
    }],
  ];
  for (const [stderr, result] of rows) {
    await t.step(result.kind, async () => {
      const { runner } = ending(1, stderr);
      const options = { target: TARGET, main: "m", output: "o", runner };
      assert.deepEqual(await compile(options), result);
    });
  }
});
