import assert from "node:assert/strict";
import { spawnAgent, SpawnedAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

/** Asks an agent for the path to a node. Returns what it says. */
async function examine(
  agent: SpawnedAgent,
  peer: string,
  timeoutMs = 60_000,
): Promise<string> {
  const response = await fetch(
    `${agent.url}/stellar.net.v1.AgentService/Examine`,
    {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "connect-timeout-ms": String(timeoutMs),
      },
      body: JSON.stringify({ peer }),
    },
  );
  return await response.text();
}

Deno.test("doctor waits for an agent that has just started to hear of the others", async () => {
  const dir = await Deno.makeTempDir({ prefix: "stellar-net-" });
  await using host = new SpawnedAgent(dir, { node: "host1" });
  await using agent = await spawnAgent({
    node: "host2",
    args: ["--join", host.url],
  });
  assert.match(
    await examine(agent, "host1", 3_000),
    /"unavailable".*Cannot examine the path to \\"host1\\": this node has not heard of the others yet: .*; run \\"stellar-net doctor\\" without a name/,
  );
  await host.start();
  const early = await waitFor("host2 to join", async () => {
    const answer = await examine(agent, "host1");
    return /"unavailable"/.test(answer) ? "" : answer;
  });
  assert.match(early, /"checks":\[/);
  assert.match(
    await examine(agent, "host3"),
    /"not_found".*no node has that name/,
  );
  assert.match(await examine(host, "host3"), /"not_found"/);
});
