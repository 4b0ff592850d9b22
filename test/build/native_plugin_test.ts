import assert from "node:assert/strict";
import { compileNativePlugin } from "../../src/build/native_plugin.ts";
import { findTarget } from "../../src/build/target.ts";
import type { CommandRunner } from "../../src/system/command.ts";

const TARGET = findTarget("aarch64-unknown-linux-gnu");
const OPTIONS = { root: "/src", target: TARGET, output: "/nonexistent" };

/** A machine whose compilers end with these codes; the others are missing. */
function machine(codes: Readonly<Record<string, number>>): CommandRunner {
  return {
    run({ program, args }) {
      const code = codes[program];
      if (code === undefined) return Promise.reject(new Error("not found"));
      const isVersion = args[0] === "--version";
      return Promise.resolve({
        code: isVersion ? 0 : code,
        stdout: "",
        stderr: isVersion ? "" : "plugin.c:1: error: bad\n",
      });
    },
  };
}

Deno.test("compileNativePlugin() names the missing compiler, and its package", async () => {
  // The machine's own compiler makes no programs for another machine.
  const result = await compileNativePlugin({
    ...OPTIONS,
    runner: machine(
      Deno.build.target === TARGET.triple ? {} : { cc: 0 },
    ),
  });
  assert.ok(result.kind === "no compiler");
  assert.match(result.why, /^there is no aarch64-linux-gnu-gcc/);
  assert.match(result.why, /in Debian, install gcc/);
});

Deno.test("compileNativePlugin() fails when the source does not compile", async () => {
  const runner = machine({ "aarch64-linux-gnu-gcc": 1 });
  await assert.rejects(compileNativePlugin({ ...OPTIONS, runner }), {
    code: "unavailable",
    message:
      'Cannot compile the CNI plugin with "aarch64-linux-gnu-gcc": plugin.c:1: error: bad',
  });
});
