import assert from "node:assert/strict";
import { parsePrefix } from "../../src/net/prefix.ts";
import { owner } from "../addresses/plan/pools.ts";
import { allocate, held, networks, request, startAgent } from "./agents.ts";

const SMALL = { networks: networks(["10.0.0.0/24", 28]) };

Deno.test("NodeAddresses.allocate() claims this node's subnet with the first allocation", async () => {
  await using t = await startAgent();
  assert.deepEqual((await t.agent.status()).usage, []);
  assert.equal(await allocate(t.agent, "c1"), "172.16.0.2");
  const [usage] = (await t.agent.status()).usage;
  assert.deepEqual([usage?.capacity, usage?.held], [1021n, 1]);
});

Deno.test("NodeAddresses.allocate() refuses a node without a subnet", async () => {
  await using t = await startAgent();
  await assert.rejects(allocate(t.agent, "c1", { node: "b" }), {
    code: "not_found",
    message: /^subnet not found: node "b"/,
  });
});

Deno.test("NodeAddresses.allocate() gives 200 callers every address exactly once, and loses none", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 25]) });
  const results = await Promise.allSettled(
    Array.from({ length: 200 }, (_, i) => allocate(t.agent, `c${i}`)),
  );
  const given = results.flatMap((r) =>
    r.status === "fulfilled" ? [r.value] : []
  );
  const refused = results.flatMap((r) =>
    r.status === "rejected" ? [r.reason] : []
  );
  assert.equal(given.length, 125);
  assert.equal(new Set(given).size, 125);
  assert.deepEqual(new Set(refused.map((e) => e.code)), new Set(["exhausted"]));
  const again = await t.restart();
  assert.deepEqual(new Set(Object.values(await held(again))), new Set(given));
});

Deno.test("NodeAddresses.allocate() shares commits among concurrent callers", async () => {
  await using t = await startAgent();
  await allocate(t.agent, "first");
  const before = t.store.commits;
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => allocate(t.agent, `c${i}`)),
  );
  assert.ok(
    t.store.commits - before <= 3,
    `${t.store.commits - before} commits`,
  );
});

Deno.test("Agent answers 300 requests at once with the longest names", async () => {
  const node = "n".repeat(253);
  await using t = await startAgent({
    node,
    networks: networks(["10.0.0.0/16", 22], ["fd00::/48", 64]),
  });
  const longOwner = (i: number) => ({
    network: "w".repeat(253),
    containerId: String(i).padStart(253, "c"),
    interfaceName: "i".repeat(15),
  });
  const netns = `/${"p".repeat(4094)}`;
  const owners = Array.from({ length: 300 }, (_, i) => longOwner(i));
  await Promise.all(
    owners.map((owner) =>
      t.agent.addresses.allocate(node, { owner, addresses: [], netns })
    ),
  );
  assert.equal(
    (await t.agent.addresses.list(node, { limit: 999 })).length,
    300,
  );
  await Promise.all(
    owners.map((owner) =>
      t.agent.addresses.release(node, { owner, reason: "r" })
    ),
  );
  assert.equal((await t.agent.addresses.list(node, { limit: 999 })).length, 0);
});

Deno.test("Agent.releaseSubnets() takes back those of 300 nodes at once", async () => {
  await using t = await startAgent();
  const nodes = Array.from({ length: 300 }, (_, i) => `n${i}`);
  await Promise.all(nodes.map((node) => t.agent.host!.registry.claim(node)));
  await Promise.all(nodes.map((node) => t.agent.host!.pools.release(node)));
  assert.equal((await t.agent.status()).nodes, 0);
});

Deno.test("NodeAddresses.allocate() holds nothing after a commit that failed", async () => {
  await using t = await startAgent(SMALL);
  await allocate(t.agent, "c1");
  t.store.fail("refuse before");
  await assert.rejects(allocate(t.agent, "c2"), { code: "unavailable" });
  assert.deepEqual(await held(t.agent), { c1: "10.0.0.2" });
  assert.equal(await allocate(t.agent, "c3"), "10.0.0.3");
});

Deno.test("NodeAddresses.allocate() finds out the effect of a commit whose answer was lost", async () => {
  await using t = await startAgent(SMALL);
  await allocate(t.agent, "c1");
  t.store.fail("lose answer");
  await assert.rejects(allocate(t.agent, "c2"), { code: "unavailable" });
  assert.deepEqual(await held(t.agent), { c1: "10.0.0.2", c2: "10.0.0.3" });
  assert.equal(await allocate(t.agent, "c3"), "10.0.0.4");
});

Deno.test("NodeAddresses.allocate() gives no address twice with two agents on one store", async () => {
  await using t = await startAgent();
  await allocate(t.agent, "first");
  const agents = [t.agent, await t.restart()];
  const given = await Promise.all(
    Array.from({ length: 40 }, (_, i) => allocate(agents[i % 2]!, `c${i}`)),
  );
  assert.equal(new Set(given).size, 40);
  const stored = await held(await t.restart());
  assert.deepEqual(
    new Set(Object.values(stored)),
    new Set([...given, "172.16.0.2"]),
  );
});

Deno.test("NodeAddresses.allocate() drops a request whose caller gave up", async () => {
  await using t = await startAgent(SMALL);
  await allocate(t.agent, "c1");
  await assert.rejects(
    t.agent.addresses.allocate("a", request("c2"), {
      signal: AbortSignal.abort(),
    }),
    { code: "cancelled" },
  );
  assert.deepEqual(await held(t.agent), { c1: "10.0.0.2" });
});

Deno.test("Agent keeps its cursor, its cool-down and both families over a restart", async () => {
  await using t = await startAgent({
    coolDownMs: 60_000,
    networks: networks(["10.0.0.0/24", 29], ["fd00::/48", 64]),
  });
  for (const id of ["c1", "c2", "c3"]) await allocate(t.agent, id);
  await t.agent.addresses.release("a", { owner: owner("c1"), reason: "test" });
  const again = await t.restart();
  assert.deepEqual(await held(again), {
    c2: "10.0.0.3 fd00::3",
    c3: "10.0.0.4 fd00::4",
  });
  assert.equal((await again.status()).usage[0]?.cooling, 1);
  assert.equal(await allocate(again, "c4"), "10.0.0.5 fd00::5");
  assert.equal(await allocate(again, "c5"), "10.0.0.6 fd00::6");
  assert.equal(await allocate(again, "c6"), "10.0.0.2 fd00::7");
});

Deno.test("Agent keeps apart the nodes `a` and `a.b`, and owners whose names run together", async () => {
  await using t = await startAgent(SMALL);
  await t.agent.host!.registry.claim("a.b");
  await allocate(t.agent, "b.c");
  await allocate(t.agent, "c", { node: "a.b" });
  assert.deepEqual(await held(t.agent, "a"), { "b.c": "10.0.0.18" });
  assert.deepEqual(await held(t.agent, "a.b"), { c: "10.0.0.2" });
});

Deno.test("NodeAddresses.allocate() gives another address to another interface", async () => {
  await using t = await startAgent(SMALL);
  await allocate(t.agent, "c1");
  const eth1 = { owner: owner("c1", "eth1"), addresses: [] };
  assert.equal((await t.agent.addresses.allocate("a", eth1)).created, true);
  await t.agent.addresses.release("a", {
    owner: owner("c1", "eth1"),
    reason: "test",
  });
  assert.deepEqual(await held(t.agent), { c1: "10.0.0.2" });
});

Deno.test("Agent.releaseSubnets() refuses while addresses are held, then frees the subnet", async () => {
  await using t = await startAgent(SMALL);
  await t.agent.host!.registry.claim("b");
  await allocate(t.agent, "c1", { node: "b" });
  await allocate(t.agent, "c2", { node: "b" });
  await assert.rejects(t.agent.host!.pools.release("b"), {
    code: "failed_precondition",
    message: /10\.0\.0\.0\/28 of node "b": 2 addresses are held/,
  });
  for (const id of ["c1", "c2"]) {
    await t.agent.addresses.release("b", { owner: owner(id), reason: "test" });
  }
  await assert.rejects(
    t.agent.host!.pools.release("b", parsePrefix("10.0.0.16/28")),
    { code: "not_found" },
  );
  await t.agent.host!.pools.release("b");
  await assert.rejects(allocate(t.agent, "c3", { node: "b" }), {
    code: "not_found",
  });
  assert.equal((await t.agent.host!.registry.subnets())[0]?.state, "released");
});

Deno.test("Agent.releaseSubnets() lets nothing be allocated behind its back", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/16", 28]) });
  const other = await t.restart();
  for (let round = 0; round < 10; round++) {
    const node = `n${round}`;
    await t.agent.host!.registry.claim(node);
    const [allocated, released] = await Promise.allSettled([
      allocate(other, "c1", { node }),
      t.agent.host!.pools.release(node),
    ]);
    const isHeld = Object.keys(await held(t.agent, node)).length > 0;
    assert.equal(allocated.status === "fulfilled", isHeld);
    assert.equal(released.status === "rejected", isHeld);
  }
});

Deno.test("NodeAddresses.history() lists the holders of an address, the latest event first", async () => {
  await using t = await startAgent(SMALL);
  await allocate(t.agent, "c1", { addresses: ["10.0.0.9"] });
  t.clock.nowMs += 10;
  await t.agent.addresses.release("a", { owner: owner("c1"), reason: "why" });
  t.clock.nowMs += 10;
  await allocate(t.agent, "c2", { addresses: ["10.0.0.9"] });
  await allocate(t.agent, "c3");
  const records = await t.agent.addresses.history({
    node: "a",
    address: "10.0.0.9",
    limit: 10,
  });
  const ids = records.map(({ id }) => id);
  assert.equal(new Set(ids).size, 2);
  assert.ok(ids.every((id) => id !== ""));
  assert.deepEqual(records.map(({ id: _, ...record }) => record), [
    {
      node: "a",
      address: "10.0.0.9",
      owner: owner("c2"),
      allocatedAtMs: 1_000_020,
      reason: "",
    },
    {
      node: "a",
      address: "10.0.0.9",
      owner: owner("c1"),
      allocatedAtMs: 1_000_000,
      releasedAtMs: 1_000_010,
      reason: "why",
    },
  ]);
  const byContainer = await t.agent.addresses.history({
    node: "a",
    containerId: "c1",
    limit: 10,
  });
  assert.deepEqual(byContainer, records.slice(1));
  assert.equal(
    (await t.agent.addresses.history({ node: "a", limit: 2 })).length,
    2,
  );
  assert.deepEqual(
    await t.agent.addresses.history({
      node: "a",
      address: "10.0.0.9",
      sinceMs: 1_000_011,
      limit: 10,
    }),
    records.slice(0, 1),
  );
});

Deno.test("NodeAddresses.pruneHistory() removes records older than the limit", async () => {
  await using t = await startAgent({ ...SMALL, keepHistoryMs: 100 });
  for (const id of ["old", "new"]) {
    await allocate(t.agent, id);
    await t.agent.addresses.release("a", { owner: owner(id), reason: "test" });
    t.clock.nowMs += 80;
  }
  assert.equal(await t.agent.addresses.pruneHistory(), 1);
  const left = await t.agent.addresses.history({ node: "a", limit: 10 });
  assert.deepEqual(left.map((r) => r.owner.containerId), ["new"]);
  const address = left[0]!.address;
  assert.equal(
    (await t.agent.addresses.history({ node: "a", address, limit: 9 })).length,
    1,
  );
  assert.equal(await t.agent.addresses.pruneHistory(), 0);
});

Deno.test("Agent.start() keeps the networks of its cluster, and refuses others by name", async () => {
  await using t = await startAgent(SMALL);
  const again = await t.restart({ networks: [] });
  assert.equal(
    again.member.cluster!.clusterId,
    t.agent.member.cluster!.clusterId,
  );
  await assert.rejects(
    t.restart({ networks: networks(["10.1.0.0/24", 28]) }),
    {
      code: "failed_precondition",
      message:
        /10\.1\.0\.0\/24 \(subnets \/28\).*10\.0\.0\.0\/24 \(subnets \/28\)/,
    },
  );
});

Deno.test("Registry.claim() gives fifty nodes that ask at once fifty subnets", async () => {
  await using t = await startAgent();
  const other = await t.restart();
  const claims = await Promise.all(
    Array.from(
      { length: 50 },
      (_, i) => [t.agent, other][i % 2]!.host!.registry.claim(`n${i}`),
    ),
  );
  assert.equal(new Set(claims.map(([s]) => s!.value)).size, 50);
});
