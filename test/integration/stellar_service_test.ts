import assert from "node:assert/strict";
import { createGrpcJsClient } from "../support/grpc_js.ts";
import { type FakeAddress, writeFakeIp } from "../support/fake_ip.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { STELLAR_CLIENTS } from "../support/stellar_clients.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { assertOutcome, STEPS } from "./stellar_service_steps.ts";

/** Runs an agent on a host of its own, in memory, for a function. */
function withAgent(
  addresses: readonly FakeAddress[],
  use: (agent: SpawnedAgent) => Promise<void>,
): Promise<void> {
  return withTempDir(async (dir) => {
    const env = await writeFakeIp(dir, addresses);
    const args = ["--store", "kv::memory:"];
    await using agent = await spawnAgent({ args, env });
    await use(agent);
  });
}

for (const [name, connect] of Object.entries(STELLAR_CLIENTS)) {
  Deno.test(`Stellar's service has the same outcomes over ${name}`, (t) =>
    withAgent([], async (agent) => {
      await using client = connect(agent);
      for (const [what, call, request, expected] of STEPS) {
        await t.step(`${call}: ${what}`, async () => {
          assertOutcome(await client.call(call, request), expected);
        });
      }
    }));
}

Deno.test("Subnets lists all slices of the default network with their gateways", () =>
  withAgent([], async (agent) => {
    for (const [name, connect] of Object.entries(STELLAR_CLIENTS)) {
      await using client = connect(agent);
      const outcome = await client.call("Subnets");
      const { subnets } =
        (outcome as { answer: { subnets: unknown[] } }).answer;
      assert.equal(subnets.length, 1024, name);
      assert.deepEqual([subnets[0], subnets[1], subnets.at(-1)], [
        { cidr: "172.16.0.0/22", gateway: "172.16.0.1" },
        { cidr: "172.16.4.0/22", gateway: "172.16.4.1" },
        { cidr: "172.31.252.0/22", gateway: "172.31.252.1" },
      ], name);
    }
  }));

Deno.test("the 1,025th node gets RESOURCE_EXHAUSTED with Stellar's message", () =>
  withAgent([], async (agent) => {
    const cidrs = await claim(agent, 1024);
    assert.deepEqual([cidrs[0], cidrs[1], cidrs.at(-1)], [
      "172.16.0.0/22",
      "172.16.4.0/22",
      "172.31.252.0/22",
    ]);
    assert.equal(new Set(cidrs).size, 1024);
    for (const connect of Object.values(STELLAR_CLIENTS)) {
      await using client = connect(agent);
      const says = /^no available subnets in network configuration/;
      const outcome = await client.call("AllocateSubnet", { node: "late" });
      assertOutcome(outcome, { code: "resource_exhausted", says });
    }
  }));

Deno.test("slices that the host uses itself are skipped", () =>
  withAgent([
    ["eth0", "172.16.1.7", 24],
    ["docker0", "172.17.0.1", 16],
  ], async (agent) => {
    const cidrs = await claim(agent, 65);
    // 172.16.0.0/22 holds 172.16.1.0/24; the 63 others of 172.16.0.0/16 are free.
    assert.deepEqual([cidrs[0], cidrs[62], cidrs[63]], [
      "172.16.4.0/22",
      "172.16.252.0/22",
      "172.18.0.0/22",
    ]);
  }));

/** Claims a subnet for node after node, and returns them. */
async function claim(agent: SpawnedAgent, count: number): Promise<string[]> {
  const client = createGrpcJsClient(`127.0.0.1:${agent.port}`, {
    file: "stellar/services/network/v1/network.proto",
    service: "stellar.services.network.v1.Network",
  });
  const cidrs: string[] = [];
  for (let i = 0; i < count; i++) {
    const request = { node: `node${i}` };
    const { subnetCidr } = await client.call<{ subnetCidr: string }>(
      "AllocateSubnet",
      request,
    );
    cidrs.push(subnetCidr);
  }
  client.close();
  return cidrs;
}
