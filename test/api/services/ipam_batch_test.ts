import assert from "node:assert/strict";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  Code,
  createClient,
  createRouterTransport,
} from "@connectrpc/connect";
import { fromConnectError } from "../../../src/api/messages/errors.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { networks, startAgent, type TestAgent } from "../../agent/agents.ts";

function clientOf({ agent }: TestAgent): Client<typeof IpamService> {
  return createClient(
    IpamService,
    createRouterTransport(
      (router) =>
        void router.service(IpamService, createIpam(agent, new OwnerCalls())),
      { router: { interceptors: [answerCalls({})] } },
    ),
  );
}

const owner = (containerId: string) => ({ owner: { containerId } });
const items = (count: number) =>
  Array.from({ length: count }, (_, i) => owner(`c${i}`));

/** The code and the field that a call is refused with. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "not refused";
  } catch (error) {
    const { code, details } = fromConnectError(error);
    return `${code} ${details.metadata?.["field"] ?? "-"}`;
  }
}

Deno.test("batches answer each item, with the id of its allocation", async () => {
  await using t = await startAgent();
  const client = clientOf(t);
  await client.allocate({ ...owner("c1"), id: "first" });
  const { results } = await client.batchAllocate({
    items: [
      { ...owner("c0"), id: "zero", labels: { app: "web" } },
      owner("c1"),
    ],
  });
  assert.deepEqual(
    results.map(({ created, allocation }) => [created, allocation!.id]),
    [[true, "zero"], [false, "first"]],
  );
  assert.deepEqual(results[0]!.allocation!.labels, { app: "web" });
  const released = await client.batchRelease({
    items: [
      { ...owner("c0"), id: "zero" },
      { ...owner("c1"), id: "other" },
      owner("c2"),
    ],
  });
  assert.deepEqual(
    released.results.map(({ allocationId, addresses }) => [
      allocationId,
      addresses.length,
    ]),
    [["zero", 1], ["", 0], ["", 0]],
  );
  const single = await client.release(owner("c1"));
  assert.equal(single.allocationId, "first");
  const { records } = await client.listHistory({});
  const ids = records.map(({ allocationId }) => allocationId);
  assert.deepEqual(ids.sort(), ["first", "zero"]);
});

Deno.test("batches, labels and times to live name the field that is wrong", async (t) => {
  await using agents = await startAgent({
    networks: networks(["10.0.0.0/24", 29]),
  });
  const client = clientOf(agents);
  const labelled = (labels: Record<string, string>) =>
    client.allocate({ ...owner("c"), labels });
  const living = (ms: number) =>
    client.allocate({ ...owner("c"), ttl: durationFromMs(ms) });
  const many = Object.fromEntries(
    Array.from({ length: 17 }, (_, i) => [`k${i}`, ""]),
  );
  const five = Object.fromEntries(
    Array.from({ length: 5 }, (_, i) => [`k${i}`, "x".repeat(250)]),
  );
  const rows: readonly [string, () => Promise<unknown>, string][] = [
    ["no item", () => client.batchAllocate({}), "invalid_argument items"],
    [
      "1,001 items",
      () => client.batchRelease({ items: items(1_001) }),
      "invalid_argument items",
    ],
    [
      "an owner twice",
      () => client.keepAlive({ items: [...items(2), owner("c0")] }),
      "invalid_argument items[2].owner",
    ],
    [
      "an owner without an id",
      () => client.batchAllocate({ items: [owner("c"), {}] }),
      "invalid_argument items[1].owner.container_id",
    ],
    [
      "an address outside",
      () =>
        client.batchAllocate({
          items: [owner("c"), { ...owner("d"), addresses: ["192.0.2.1"] }],
        }),
      "invalid_argument items[1].addresses",
    ],
    [
      "a label of an item",
      () =>
        client.batchAllocate({
          items: [{ ...owner("c"), labels: { "": "" } }],
        }),
      "invalid_argument items[0].labels",
    ],
    [
      "more than are free",
      () => client.batchAllocate({ items: items(6) }),
      "exhausted -",
    ],
    ["17 labels", () => labelled(many), "invalid_argument labels"],
    ["1,260 bytes of labels", () => labelled(five), "invalid_argument labels"],
    ["an empty key", () => labelled({ "": "x" }), "invalid_argument labels"],
    [
      "a key with a space",
      () => labelled({ "a b": "x" }),
      "invalid_argument labels",
    ],
    [
      "a key that ends in a dot",
      () => labelled({ "a.": "x" }),
      "invalid_argument labels",
    ],
    [
      "a key of 64",
      () => labelled({ ["k".repeat(64)]: "" }),
      "invalid_argument labels",
    ],
    [
      "a value of 256",
      () => labelled({ k: "v".repeat(256) }),
      "invalid_argument labels",
    ],
    [
      "a value of two lines",
      () => labelled({ k: "a\nb" }),
      "invalid_argument labels",
    ],
    [
      "an invalid filter",
      () => client.listAllocations({ labels: { "a b": "" } }),
      "invalid_argument labels",
    ],
    ["999 ms to live", () => living(999), "invalid_argument ttl"],
    ["31 days to live", () => living(31 * 86_400_000), "invalid_argument ttl"],
    ["less than nothing to live", () => living(-1_000), "invalid_argument ttl"],
    [
      "a container runtime with a time to live",
      () =>
        client.allocate({
          ...owner("c"),
          ...{ ttl: durationFromMs(5_000), attachment: { netns: "/n" } },
        }),
      "invalid_argument ttl",
    ],
  ];
  for (const [name, call, expected] of rows) {
    await t.step(
      name,
      async () => assert.equal(await refusal(call()), expected),
    );
  }
  assert.equal((await client.listAllocations({})).totalSize, 0);
  await t.step("what is just right", async () => {
    const four = Object.fromEntries(Object.entries(five).slice(0, 4));
    await labelled(four);
    await living(1_000);
    await living(30 * 86_400_000);
    const { allocation } = await client.allocate(owner("c"));
    assert.deepEqual({ ...allocation!.labels }, four);
    assert.equal(allocation!.ttl!.seconds, 2_592_000n);
  });
});

Deno.test("KeepAlive returns the expiry of each allocation, and nothing for owners without one", async () => {
  await using t = await startAgent();
  const client = clientOf(t);
  const ttl = durationFromMs(60_000);
  await client.allocate({ ...owner("c0"), id: "zero", ttl });
  await client.allocate({ ...owner("c1"), id: "one" });
  t.clock.nowMs += 2_000;
  const expiresAtMs = async () =>
    timestampMs(
      (await client.getAllocation(owner("c0"))).allocation!.expiresAt!,
    );
  assert.equal(await expiresAtMs(), t.clock.nowMs + 58_000);
  const dry = await client.keepAlive({ items: items(1), validateOnly: true });
  assert.equal(timestampMs(dry.results[0]!.expiresAt!), t.clock.nowMs + 58_000);
  const { results } = await client.keepAlive({ items: items(3) });
  assert.deepEqual(
    results.map(({ allocationId, expiresAt }) => [
      allocationId,
      expiresAt && timestampMs(expiresAt) - t.clock.nowMs,
    ]),
    [["zero", 60_000], ["one", undefined], ["", undefined]],
  );
  assert.equal(await expiresAtMs(), t.clock.nowMs + 60_000);
});

Deno.test("GetAllocation of a batch's owner is NOT_FOUND once it is released", async () => {
  await using t = await startAgent();
  const client = clientOf(t);
  await client.batchAllocate({ items: items(2) });
  await client.batchRelease({ items: items(1) });
  await assert.rejects(client.getAllocation(owner("c0")), {
    code: Code.NotFound,
  });
  assert.ok((await client.getAllocation(owner("c1"))).allocation);
});

Deno.test("an allocation with a time to live has a whole expiry where the clock counts parts of a millisecond", async () => {
  let uptimeMs = 0.3;
  await using t = await startAgent({ uptimeMs: () => uptimeMs });
  const client = clientOf(t);
  const ttl = durationFromMs(60_000);
  await client.allocate({ ...owner("c0"), ttl });
  uptimeMs = 1_000.7;
  const { allocation } = await client.getAllocation(owner("c0"));
  // Never later than it is.
  const leftMs = timestampMs(allocation!.expiresAt!) - t.clock.nowMs;
  assert.equal(leftMs, 58_999);
});
