import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { owner } from "./plan/pools.ts";
import {
  allocate,
  held,
  networks,
  startAgent,
  type TestAgent,
} from "../agent/agents.ts";

const GRACE_MS = 100;

/** Adds a container as a CNI runtime does; its namespace is there, if nothing else is said. */
async function add(
  t: TestAgent,
  containerId: string,
  options: { netns?: string; state?: "there" | "gone" | "unknown" } = {},
): Promise<void> {
  const netns = options.netns ?? `/run/netns/${containerId}`;
  t.netns.set(netns, options.state ?? "there");
  await t.agent.allocate("a", {
    owner: owner(containerId),
    addresses: [],
    netns,
  });
}

/** Looks for leaks, twice with the grace time between. */
async function lookTwice(t: TestAgent, agent: Agent = t.agent): Promise<void> {
  await agent.collectLeaks();
  t.clock.nowMs += GRACE_MS;
  await agent.collectLeaks();
}

async function owners(agent: Agent): Promise<string[]> {
  return Object.keys(await held(agent)).sort();
}

Deno.test("Agent.collectLeaks() releases what has lost its namespace, after a grace time", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  await add(t, "c2");
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.collectLeaks();
  t.clock.nowMs += GRACE_MS - 1;
  await t.agent.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c1", "c2"]);
  const leaked = await t.agent.list("a", { limit: 9, leaked: true });
  assert.deepEqual(leaked.map((a) => a.owner.containerId), ["c1"]);
  assert.equal((await t.agent.status()).leaked, 1);
  t.clock.nowMs += 1;
  await t.agent.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c2"]);
  assert.equal((await t.agent.status()).leaked, 0);
  const [record] = await t.agent.history({
    node: "a",
    containerId: "c1",
    limit: 1,
  });
  assert.equal(
    record?.reason,
    "leaked: its network namespace /run/netns/c1 is gone",
  );
});

Deno.test("Agent.collectLeaks() starts anew when the namespace is seen again", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.collectLeaks();
  t.clock.nowMs += GRACE_MS;
  t.netns.set("/run/netns/c1", "there");
  await t.agent.collectLeaks();
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c1"]);
});

const KEPT: [
  string,
  { netns?: string; state?: "there" | "gone" | "unknown" },
][] = [
  ["whose namespace was never there yet", { state: "gone" }],
  ["whose namespace cannot be looked for", { state: "unknown" }],
  ["whose namespace is not known", { netns: "" }],
  ["whose namespace is there", { state: "there" }],
];

for (const [what, options] of KEPT) {
  Deno.test(`Agent.collectLeaks() keeps a container ${what}`, async () => {
    await using t = await startAgent();
    await add(t, "c1", options);
    await lookTwice(t);
    assert.deepEqual(await owners(t.agent), ["c1"]);
  });
}

Deno.test("Agent.collectLeaks() takes a namespace that came late for one that can vanish", async () => {
  await using t = await startAgent();
  await add(t, "c1", { state: "gone" });
  t.netns.set("/run/netns/c1", "there");
  await t.agent.collectLeaks();
  t.netns.set("/run/netns/c1", "gone");
  await lookTwice(t);
  assert.deepEqual(await owners(t.agent), []);
});

Deno.test("Agent.collectLeaks() releases what another boot left, and nothing of the API", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  await add(t, "c2", { netns: "" });
  await allocate(t.agent, "api");
  const rebooted = await t.restart({ bootId: "boot-2" });
  await lookTwice(t, rebooted);
  assert.deepEqual(await owners(rebooted), ["api"]);
});

Deno.test("Agent.collectLeaks() keeps a container that was added again meanwhile", async () => {
  await using t = await startAgent();
  await add(t, "c1");
  t.netns.set("/run/netns/c1", "gone");
  await t.agent.collectLeaks();
  t.clock.nowMs += GRACE_MS;
  await t.agent.release("a", owner("c1"), "CNI DEL");
  await add(t, "c1", { netns: "/run/netns/c1-new" });
  t.netns.set("/run/netns/c1-new", "gone");
  await t.agent.collectLeaks();
  assert.deepEqual(await owners(t.agent), ["c1"]);
});

Deno.test("Agent.applyQueue() releases what was queued, but nothing that is younger", async () => {
  await using t = await startAgent();
  for (const id of ["old", "again", "other"]) await add(t, id);
  t.queue.push(owner("old"), t.clock.nowMs);
  t.queue.push(owner("again"), t.clock.nowMs);
  t.queue.push(owner("never-added"), t.clock.nowMs);
  t.clock.nowMs += 1;
  await t.agent.release("a", owner("again"), "test");
  await add(t, "again");
  assert.equal((await t.agent.status()).queued, 3);
  await t.agent.applyQueue();
  assert.deepEqual(await owners(t.agent), ["again", "other"]);
  assert.equal((await t.agent.status()).queued, 0);
});

Deno.test("Agent.releaseOthers() releases one network's others that a runtime added", async () => {
  await using t = await startAgent();
  for (const id of ["c1", "c2", "c3"]) await add(t, id);
  await allocate(t.agent, "api");
  const other = { ...owner("c1"), network: "other" };
  await t.agent.allocate("a", { owner: other, addresses: [], netns: "" });
  const released = await t.agent.releaseOthers("a", "default", [owner("c2")]);
  assert.deepEqual(released.map((a) => a.owner.containerId), ["c1", "c3"]);
  assert.deepEqual(await owners(t.agent), ["api", "c1", "c2"]);
  assert.deepEqual((await t.agent.get("a", other))?.owner, other);
});

Deno.test("Agent.checkReady() fails once all addresses are held", async () => {
  await using t = await startAgent();
  await t.agent.checkReady("a");
  for (let i = 0; i < 1021; i++) await allocate(t.agent, `c${i}`);
  await assert.rejects(t.agent.checkReady("a"), {
    code: "exhausted",
    message:
      /^IP allocation exhausted: all 1021 addresses of 172\.16\.0\.0\/22/,
  });
});

Deno.test("Agent.checkReady() fails when the node has no subnet and none is left", async () => {
  await using t = await startAgent({ networks: networks(["10.0.0.0/24", 25]) });
  await t.agent.host!.registry.claim("b");
  await t.agent.checkReady("a");
  await t.agent.host!.registry.claim("c");
  await assert.rejects(t.agent.checkReady("a"), {
    code: "exhausted",
    message: /^no available subnets in network configuration/,
  });
});

Deno.test("Agent.allocate() undoes what a CNI runtime gave up before it was answered", async () => {
  await using t = await startAgent();
  await allocate(t.agent, "first");
  const caller = new AbortController();
  t.store.onCommit = () => caller.abort();
  const request = { owner: owner("c1"), addresses: [], netns: "" };
  await assert.rejects(t.agent.allocate("a", request, caller.signal), {
    code: "cancelled",
  });
  assert.deepEqual(await owners(t.agent), ["first"]);
});
