import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { readState } from "../../src/backup/take.ts";
import { restoredPut, RestoreGrace } from "../../src/registry/restore_grace.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import type { Entry } from "../../src/store/store.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { waitFor } from "../support/wait_for.ts";
import { networks, startAgent, type TestAgent } from "../agent/agents.ts";
import { becomes, FACTS, knows, subnets } from "../member/joined_hosts.ts";

const SETTLE_MS = 60_000;
/** Four subnets. */
const FOUR = networks(["10.0.0.0/24", 26]);

/** A registry that hosts join, and that can be restored. */
class Cluster implements AsyncDisposable {
  readonly peer: FakeRegistryPeer;
  readonly #stack = new AsyncDisposableStack();
  #registry: TestAgent;
  #agent: Agent;

  private constructor(registry: TestAgent) {
    this.#registry = this.#stack.use(registry);
    this.#agent = registry.agent;
    this.peer = new FakeRegistryPeer(registry.agent, { heartbeatMs: 20 });
  }

  static async create(): Promise<Cluster> {
    const registry = await startAgent({ networks: FOUR });
    await registry.agent.member.claim();
    return new Cluster(registry);
  }

  get clock(): TestAgent["clock"] {
    return this.#registry.clock;
  }

  /** The registry. */
  get host(): NonNullable<Agent["host"]> {
    return this.#agent.host!;
  }

  /** A host that begins to join. */
  async begin(node: string): Promise<Agent> {
    const peers = [this.peer];
    const started = this.#stack.use(await startAgent({ node, peers }));
    const { agent } = started;
    await agent.member.report(FACTS);
    this.#stack.defer(() => agent.member.stop());
    agent.member.start(() => {});
    return agent;
  }

  /** A host that has joined. */
  async join(node: string): Promise<Agent> {
    const agent = await this.begin(node);
    await becomes(agent, "joined");
    return agent;
  }

  backUp(): Promise<Entry[]> {
    const holdCluster = <T>(run: () => Promise<T>) => this.host.hold(run);
    return Array.fromAsync(readState(this.#registry.store, { holdCluster }));
  }

  /** Puts a registry in the place of this one that has what a backup has. */
  async restore(backup: readonly Entry[]): Promise<void> {
    const next = this.#stack.use(await startAgent({ networks: FOUR }));
    for await (const { key } of next.store.list([])) {
      await next.store.commit({ deletes: [key] });
    }
    const mark = restoredPut({ takenAtMs: 0, settleMs: SETTLE_MS });
    await next.store.commit({ puts: [...backup, mark] });
    this.#registry = next;
    await this.restart();
  }

  /** Starts the registry's agent again. */
  async restart(): Promise<void> {
    this.#agent = await this.#registry.restart();
    this.peer.replace(this.#agent);
  }

  /** The lines of `subnet list`. */
  async list(): Promise<string[]> {
    const listed = await this.host.registry.subnets();
    return listed.map(({ subnet, state, node, reason }) =>
      [formatPrefix(subnet), state, node, reason].filter((word) => word)
        .join(" ")
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

Deno.test("a restored registry takes a host in that its backup does not know, and gives its subnet to nobody", async () => {
  await using cluster = await Cluster.create();
  const b = await cluster.join("b");
  const backup = await cluster.backUp();
  const c = await cluster.join("c");
  assert.equal(subnets(c), "10.0.0.128/26");
  await cluster.restore(backup);
  // First of all: it would get what c has.
  const d = await cluster.begin("d");
  await waitFor(
    "a refusal",
    () => d.member.link.problem !== "it has not answered yet",
  );
  assert.equal(d.member.link.state, "unreachable");
  assert.equal(
    d.member.link.problem,
    'Cannot give node "d" a subnet yet: the registry was restored from a backup of 1970-01-01T00:00:00.000Z, and has been in its grace period since 1970-01-01 00:16:40Z: hosts that it does not know come back with their subnets first; a new node gets one in 60 s',
  );
  await assert.rejects(cluster.host.registry.claim("over-the-api"), {
    code: "unavailable",
  });
  await becomes(b, "joined");
  await becomes(c, "joined");
  assert.deepEqual([subnets(b), subnets(c), subnets(d)], [
    "10.0.0.64/26",
    "10.0.0.128/26",
    "",
  ]);
  cluster.clock.nowMs += SETTLE_MS - 1;
  await cluster.host.checkLiveness(undefined);
  assert.equal(cluster.host.restoreGrace.current?.leftMs, 1);
  cluster.clock.nowMs += 1;
  await cluster.host.checkLiveness(undefined);
  assert.equal(cluster.host.restoreGrace.current, undefined);
  await becomes(d, "joined");
  assert.equal(subnets(d), "10.0.0.192/26");
});

Deno.test("a restored registry keeps the subnet of a host that is away, as others remember it", async () => {
  await using cluster = await Cluster.create();
  const b = await cluster.join("b");
  const backup = await cluster.backUp();
  const c = await cluster.join("c");
  await knows(b, "c");
  await c.member.stop();
  await cluster.restore(backup);
  await waitFor("a report", async () => (await cluster.list()).length === 3);
  assert.deepEqual(await cluster.list(), [
    "10.0.0.0/26 owned a",
    "10.0.0.64/26 owned b",
    "10.0.0.128/26 reserved c c had it before the registry was restored, says b",
  ]);
  cluster.clock.nowMs += SETTLE_MS;
  await cluster.host.checkLiveness(undefined);
  const d = await cluster.join("d");
  assert.equal(subnets(d), "10.0.0.192/26");
  const joined = await cluster.host.pools.join({
    ...FACTS,
    ...{ node: "c", instanceId: c.instanceId, clusterId: "" },
    heldSubnets: c.member.subnets,
  });
  assert.equal(joined.subnets.map(formatPrefix).join(), "10.0.0.128/26");
  assert.ok((await cluster.list()).includes("10.0.0.128/26 owned c"));
});

Deno.test("a restored registry fences nodes that contradict it, until an operator decides", async () => {
  await using cluster = await Cluster.create();
  await cluster.join("b");
  const x = await cluster.join("x");
  const y = await cluster.join("y");
  const backup = await cluster.backUp();
  const removal = { instanceId: "", force: true };
  await x.member.stop();
  await cluster.host.pools.remove({ node: "x", ...removal });
  const c = await cluster.join("c");
  assert.equal(subnets(c), "10.0.0.128/26");
  await cluster.restore(backup);
  await becomes(c, "fenced");
  assert.match(
    c.member.link.problem,
    /^Cannot join with the subnet 10\.0\.0\.128\/26: it belongs to node "x" now/,
  );
  await becomes(y, "joined");
  await cluster.host.pools.remove({ node: "x", ...removal });
  c.member.report(FACTS);
  await becomes(c, "joined");
  assert.equal(subnets(c), "10.0.0.128/26");
});

Deno.test("a restored registry starts the grace period again with every start, until it is over", async () => {
  await using cluster = await Cluster.create();
  await cluster.restore(await cluster.backUp());
  cluster.clock.nowMs += SETTLE_MS / 2;
  await cluster.restart();
  assert.equal(cluster.host.restoreGrace.current?.leftMs, SETTLE_MS);
  cluster.clock.nowMs += SETTLE_MS;
  await cluster.host.checkLiveness(undefined);
  await cluster.restart();
  assert.equal(cluster.host.restoreGrace.current, undefined);
  const keys = (await cluster.backUp()).map(({ key }) => key.join(" "));
  assert.ok(!keys.includes("agent restored"), `${keys}`);
});

Deno.test("acceptOwnerReport() takes no report of an agent that has not joined, and none once it has settled", async () => {
  await using cluster = await Cluster.create();
  const b = await cluster.join("b");
  await cluster.restore(await cluster.backUp());
  const { node, instanceId } = b;
  const subnet = b.member.subnets[0]!;
  const owners = [{
    node: "c",
    subnet: { ...subnet, value: subnet.value + 64n },
  }];
  await assert.rejects(
    cluster.host.acceptOwnerReport({ node, instanceId: "another" }, owners),
    { code: "failed_precondition" },
  );
  cluster.clock.nowMs += SETTLE_MS;
  await cluster.host.acceptOwnerReport({ node, instanceId }, owners);
  assert.equal((await cluster.list()).length, 2);
});

Deno.test("RestoreGrace.wantsReports asks 32 hosts for the owners that they remember, and no more", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  await store.commit({ puts: [restoredPut({ takenAtMs: 0, settleMs: 1 })] });
  const grace = await RestoreGrace.begin(store, {
    now: () => 0,
    uptimeMs: () => 0,
  });
  let asked = 0;
  for (; asked < 100 && grace.wantsReports; asked++) grace.countReport();
  assert.equal(asked, 32);
  await store.close();
});

Deno.test("RestoreGrace.follow() starts the grace period of another agent on the same store, once", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const clock = { nowMs: 1_000 };
  const begin = () =>
    RestoreGrace.begin(store, {
      now: () => clock.nowMs,
      uptimeMs: () => clock.nowMs,
    });
  const [one, other] = [await begin(), await begin()];
  const leftOf = (grace: RestoreGrace) => grace.current?.leftMs;
  await other.follow();
  assert.equal(leftOf(other), undefined);
  await one.beginBehind(9, 3);
  await other.follow();
  const leftMs = leftOf(one);
  assert.ok(leftMs);
  assert.equal(leftOf(other), leftMs);
  const key = ["agent", "restored"];
  const entry = await store.get(key);
  clock.nowMs += leftMs;
  await other.checkEnd();
  assert.equal(await store.get(key), null);
  // As if the first agent had ended before it could tidy up.
  await store.commit({ puts: [{ key, value: entry!.value }] });
  await other.follow();
  assert.equal(leftOf(other), undefined);
  await store.close();
});
