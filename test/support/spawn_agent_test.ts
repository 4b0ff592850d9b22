import assert from "node:assert/strict";
import { NOBODY } from "./as_nobody.ts";
import { run } from "./run.ts";
import { spawnAgent } from "./spawn_agent.ts";

Deno.test("spawnAgent() starts, kills and restarts an agent, and leaves nothing", async () => {
  let stateDir: string;
  {
    await using agent = await spawnAgent();
    stateDir = agent.stateDir;
    const { pid, port } = agent;
    assert.equal(await agent.kill("SIGKILL"), 137);
    assert.throws(() => agent.pid, /it is not running/);
    await agent.start();
    assert.notEqual(agent.pid, pid);
    assert.equal(agent.port, port);
    const { stdout } = await run("curl", [
      "-sS",
      "--json",
      "{}",
      `${agent.url}/grpc.health.v1.Health/Check`,
    ]);
    assert.deepEqual(JSON.parse(stdout), { status: "SERVING" });
    await agent.restart();
    assert.equal(await agent.stop(), 0);
  }
  await assert.rejects(Deno.stat(stateDir), Deno.errors.NotFound);
});

Deno.test("spawnAgent() runs an agent as an ordinary user", async () => {
  await using agent = await spawnAgent({ asNobody: true });
  const status = await Deno.readTextFile(`/proc/${agent.pid}/status`);
  assert.match(status, new RegExp(`^Uid:\t${NOBODY}\t`, "m"));
  assert.match(status, /^CapEff:\t0+$/m);
});

Deno.test("spawnAgent() fails with what the agent wrote", async () => {
  await assert.rejects(
    spawnAgent({ args: ["--no-such-flag"] }),
    /Cannot run the agent: it ended with 2\n.*no-such-flag/s,
  );
});
