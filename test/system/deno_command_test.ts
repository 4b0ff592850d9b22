import assert from "node:assert/strict";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";

/** More than a pipe holds. */
const MUCH = "a line of no importance\n".repeat(50_000);

Deno.test("DenoCommandRunner feeds a program that speaks before it has read all", async () => {
  const args = ["-c", "cat >&2; echo done"];
  const output = await new DenoCommandRunner().run({
    program: "sh",
    args,
    stdin: MUCH,
  });
  assert.equal(output.stderr, MUCH);
  assert.equal(output.stdout, "done\n");
});

Deno.test("DenoCommandRunner takes a program as it ends, though it has not read all", async () => {
  const args = ["-c", "echo no >&2; exit 3"];
  const output = await new DenoCommandRunner().run({
    program: "sh",
    args,
    stdin: MUCH,
  });
  assert.deepEqual(output, { code: 3, stdout: "", stderr: "no\n" });
});
