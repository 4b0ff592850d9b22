import assert from "node:assert/strict";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import {
  AddressState,
  IpamService,
} from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { startAgent, type TestAgent } from "../../agent/agents.ts";

function createIpamClient({ agent }: TestAgent) {
  const transport = createRouterTransport(
    (router) =>
      void router.service(IpamService, createIpam(agent, new OwnerCalls())),
    { router: { interceptors: [answerCalls({})] } },
  );
  return createClient(IpamService, transport);
}

type Client = ReturnType<typeof createIpamClient>;

async function listRuns(
  client: Client,
  request: Parameters<Client["listAddressRuns"]>[0] = {},
): Promise<string[]> {
  const runs: string[] = [];
  let pageToken = "";
  do {
    const page = await client.listAddressRuns({ ...request, pageToken });
    for (const { first, last, state } of page.runs) {
      runs.push(`${first}-${last} ${AddressState[state]}`);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return runs;
}

Deno.test("ListAddressRuns shows the states of addresses, now and before", async () => {
  await using t = await startAgent({ coolDownMs: 1_000 });
  const client = createIpamClient(t);
  assert.deepEqual(await listRuns(client), []);
  const beginMs = t.clock.nowMs;
  t.clock.nowMs += 10;
  for (const containerId of ["c0", "c1", "c2", "c3"]) {
    await client.allocate({ owner: { containerId } });
  }
  const { allocation } = await client.getAllocation({
    owner: { containerId: "c0" },
  });
  const subnet = allocation!.addresses[0]!.subnet;
  const address = (offset: number) =>
    allocation!.addresses[0]!.address.replace(/\d+$/, `${offset}`);
  const fullMs = t.clock.nowMs;
  t.clock.nowMs += 10;
  await client.reserve({ address: address(9) });
  await client.release({ owner: { containerId: "c1" } });
  const releasedMs = t.clock.nowMs;
  t.clock.nowMs += 10;
  const now = [
    `${address(2)}-${address(2)} HELD`,
    `${address(3)}-${address(3)} COOLING`,
    `${address(4)}-${address(5)} HELD`,
    `${address(9)}-${address(9)} RESERVED`,
  ];
  assert.deepEqual(await listRuns(client), now);
  assert.deepEqual(await listRuns(client, { pageSize: 1 }), now);
  assert.deepEqual(await listRuns(client, { prefix: subnet }), now);
  assert.deepEqual(
    await listRuns(client, { prefix: `${address(4)}/31` }),
    [`${address(4)}-${address(5)} HELD`],
  );
  assert.deepEqual(await listRuns(client, { prefix: "192.0.2.0/24" }), []);
  const at = (ms: number) => listRuns(client, { at: timestampFromMs(ms) });
  assert.deepEqual(await at(beginMs), []);
  assert.deepEqual(await at(fullMs), [`${address(2)}-${address(5)} HELD`]);
  assert.deepEqual(await at(releasedMs), now);
  assert.deepEqual(await at(t.clock.nowMs + 1e6), now);
  const { knownSince } = await client.listAddressRuns({});
  assert.equal(timestampMs(knownSince!), releasedMs);
  await assert.rejects(client.listAddressRuns({ prefix: "10.0.0.1/8" }), {
    code: Code.InvalidArgument,
  });
});
