import assert from "node:assert/strict";
import { run } from "./run.ts";

Deno.test("run() passes arguments, environment and input, and collects the output", async () => {
  const { code, stdout, stderr } = await run(
    "bash",
    ["-c", 'cat; echo "$WORD $1" >&2; exit 3', "bash", "a b"],
    { stdin: "in", env: { WORD: "word" } },
  );
  assert.deepEqual({ code, stdout, stderr }, {
    code: 3,
    stdout: "in",
    stderr: "word a b\n",
  });
});

Deno.test("run() gives 128 and the signal's number for a command that was killed", async () => {
  const { code } = await run("bash", ["-c", "kill -9 $$"]);
  assert.equal(code, 137);
});

Deno.test("run() tolerates a command that does not read its input", async () => {
  const { code } = await run("true", [], { stdin: "x".repeat(1_000_000) });
  assert.equal(code, 0);
});

Deno.test("run() kills what is not done in time", async () => {
  await assert.rejects(
    run("sleep", ["600"], { timeoutMs: 50 }),
    /Cannot run sleep 600: it was not done within 50 ms/,
  );
});

Deno.test("run() waits for no child of a killed command, and returns the output so far", async () => {
  const startedMs = performance.now();
  const script = "sleep 120 & echo $!; wait";
  const error = await run("bash", ["-c", script], { timeoutMs: 3_000 }).then(
    () => assert.fail("it was done in time"),
    (error: Error) => error,
  );
  const [, pid] = /within 3000 ms\n(\d+)\n/.exec(error.message) ?? [];
  assert.ok(pid !== undefined, error.message);
  Deno.kill(Number(pid), "SIGKILL");
  assert.ok(performance.now() - startedMs < 119_000);
});
