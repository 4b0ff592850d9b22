import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../generate.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

/** Longer than an attempt of the agent to join lasts, in ms. */
const SILENT_MS = 6_000;

Deno.test("a call right after the start waits within its deadline for the registry to answer", async (t) => {
  await using registry = await spawnAgent({
    args: ["--store", "kv::memory:", "--network", "172.16.0.0/12"],
  });
  // It accepts connections, and answers some seconds after the member serves.
  Deno.kill(registry.pid, "SIGSTOP");
  try {
    await using member = await spawnAgent({
      node: "node2",
      args: ["--store", "kv::memory:", "--join", registry.url],
    });
    const type = (line: string, timeout: string) =>
      run(Deno.execPath(), [
        ...FROM_SOURCE,
        ...["--socket", member.socketPath, "--timeout", timeout],
        ...line.split(" "),
      ], { cwd: ROOT });
    const silent = delay(SILENT_MS);
    const hasty = type("node list", "4s");
    const calls = [
      "ip allocate c1",
      "node list",
      "subnet list",
      "ip release c2",
    ].map((line) => type(line, "60s"));
    await t.step("a call with a short deadline gets the cause", async () => {
      const { code, stderr } = await hasty;
      assert.equal(code, 1);
      assert.match(
        stderr,
        /Cannot reach the registry at .*: it (has not answered yet|does not answer)/,
      );
    });
    await silent;
    Deno.kill(registry.pid, "SIGCONT");
    const expected = [/^172\.16\.\d+\.2 /m, /^node2 +ready /m, /node2/, /^$/];
    for (const [i, call] of calls.entries()) {
      const { code, stdout, stderr } = await call;
      await t.step(`call ${i}`, () => {
        assert.equal(code, 0, stderr);
        assert.match(stdout, expected[i]!);
      });
    }
  } finally {
    Deno.kill(registry.pid, "SIGCONT");
  }
});
