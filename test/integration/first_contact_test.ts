import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../generate.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

Deno.test("a call right after the start waits for the registry to answer", async (t) => {
  await using registry = await spawnAgent({
    args: ["--store", "kv::memory:", "--network", "172.16.0.0/12"],
  });
  // It accepts connections, and answers a second after the member serves.
  Deno.kill(registry.pid, "SIGSTOP");
  try {
    await using member = await spawnAgent({
      node: "node2",
      args: ["--store", "kv::memory:", "--join", registry.url],
    });
    const calls = ["ip allocate c1", "node list", "subnet list"].map((line) =>
      run(Deno.execPath(), [
        ...FROM_SOURCE,
        ...["--socket", member.socketPath, ...line.split(" ")],
      ], { cwd: ROOT })
    );
    await delay(1_500);
    Deno.kill(registry.pid, "SIGCONT");
    const expected = [/^172\.16\.\d+\.2 /m, /^node2 +ready /m, /node2/];
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
