import assert from "node:assert/strict";
import { Agent } from "../../src/agent/agent.ts";
import type { Trust } from "../../src/security/trust.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FakeReleaseQueue } from "../fake/fake_release_queue.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { collectLogs } from "../support/collect_logs.ts";
import { waitFor } from "../support/wait_for.ts";
import { owner } from "../addresses/plan/pools.ts";
import { held, request } from "../agent/agents.ts";

/** Agents that host one registry together, each with a store of its own besides. */
class SharedHosts implements AsyncDisposable {
  readonly registryStore: FaultyStore;
  readonly agents: Agent[] = [];
  readonly #trusts = new Map<string, Trust>();
  readonly #stores: FaultyStore[] = [];

  private constructor(registryStore: FaultyStore) {
    this.registryStore = registryStore;
  }

  static async create(...nodes: string[]): Promise<SharedHosts> {
    const hosts = new SharedHosts(
      new FaultyStore(await openDenoKv({ path: ":memory:" })),
    );
    for (const node of nodes) await hosts.add(node);
    return hosts;
  }

  async add(node: string): Promise<Agent> {
    const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
    const agent = await Agent.start({
      node,
      store,
      registryStore: this.registryStore,
      peers: [],
      networks: [],
      coolDownMs: 0,
      keepHistoryMs: 1000,
      bootId: "boot-1",
      leakGraceMs: 100,
      netns: { find: () => Promise.resolve({ kind: "gone" }) },
      queue: new FakeReleaseQueue(),
      now: Date.now,
      uptimeMs: () => performance.now(),
      randomId: () => crypto.randomUUID(),
      random: () => 0,
      onTrust: (trust) => this.#trusts.set(node, trust),
    });
    this.#stores.push(store);
    this.agents.push(agent);
    await agent.member.report({
      advertised: [parseAddress(`198.18.0.${10 + this.agents.length}`)],
      apiUrl: `http://198.18.0.${10 + this.agents.length}:9000`,
      localPrefixes: [],
    });
    agent.follow(() => {});
    return agent;
  }

  /** What the node of an agent was told last to trust. */
  trustOf({ node }: Agent): Trust | undefined {
    return this.#trusts.get(node);
  }

  async joined(): Promise<string[]> {
    await waitFor(
      "all to have joined",
      () =>
        this.agents.every(({ member }) =>
          member.link.state === "hosted" &&
          member.view.nodes.size === this.agents.length
        ),
    );
    return this.agents.map(({ member }) =>
      member.subnets.map(formatPrefix).join(" ")
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.agents) await agent.stop();
    for (const store of this.#stores) await store.close();
    await this.registryStore.close();
  }
}

async function allocate(agent: Agent, node: string, id: string) {
  const { allocation } = await agent.addresses.allocate(node, request(id));
  return formatAddress(allocation.addresses[0]!.address);
}

Deno.test("agents that host one registry get a subnet each, and see each other", async () => {
  await using hosts = await SharedHosts.create("a", "b", "c");
  const subnets = await hosts.joined();
  assert.deepEqual([...subnets].sort(), [
    "172.16.0.0/22",
    "172.16.4.0/22",
    "172.16.8.0/22",
  ]);
  const ids = hosts.agents.map(({ member }) => member.cluster?.clusterId);
  assert.equal(new Set(ids).size, 1);
});

Deno.test("agents that host one registry send changes to each other's watchers", async () => {
  await using hosts = await SharedHosts.create("a", "b");
  await hosts.joined();
  const [a, b] = hosts.agents as [Agent, Agent];
  await a.requireHost().registry.addRoute({
    destination: parsePrefix("192.0.2.0/24"),
    target: parseAddress("198.18.0.9"),
  });
  const routes = await b.requireHost().registry.routes();
  assert.deepEqual(routes.map((r) => formatPrefix(r.destination)), [
    "192.0.2.0/24",
  ]);
  await waitFor(
    "the route at both",
    () => [a, b].every(({ member }) => member.view.routes.size === 1),
  );
  await b.leave({ force: false });
  await waitFor("b to be gone", () => !a.member.view.nodes.has("b"));
});

Deno.test("agents that host one registry have one authority, and send its trust to each other's nodes", async () => {
  await using hosts = await SharedHosts.create("a", "b");
  await hosts.joined();
  const [a, b] = hosts.agents as [Agent, Agent];
  assert.equal(hosts.trustOf(b), undefined);
  const first = await a.requireHost().identity.trust();
  await waitFor("b to hear of trust", () => hosts.trustOf(b) !== undefined);
  assert.deepEqual(await b.requireHost().identity.trust(), first);
  assert.equal(first.authorities.length, 1);
  await a.requireHost().identity.rotate();
  await waitFor(
    "the next authority at both",
    () => [a, b].every((host) => hosts.trustOf(host)?.authorities.length === 2),
  );
});

Deno.test("agents that host one registry give no address of a node without an agent twice", async () => {
  await using hosts = await SharedHosts.create("a", "b");
  await hosts.joined();
  const [a, b] = hosts.agents as [Agent, Agent];
  await a.requireHost().registry.claim("api");
  const given = await Promise.all(
    Array.from(
      { length: 60 },
      (_, i) => allocate([a, b][i % 2]!, "api", `c${i}`),
    ),
  );
  assert.equal(new Set(given).size, 60);
  assert.equal(Object.keys(await held(a, "api")).length, 60);
  assert.deepEqual(await held(a, "api"), await held(b, "api"));
});

Deno.test("a host of a shared registry goes on without its store, and joins when that answers", async () => {
  await using hosts = await SharedHosts.create("a");
  await hosts.joined();
  const [a] = hosts.agents as [Agent];
  assert.equal(await allocate(a, "a", "c1"), "172.16.0.2");
  hosts.registryStore.isDown = true;
  const b = await hosts.add("b");
  assert.equal(await allocate(a, "a", "c2"), "172.16.0.3");
  assert.throws(() => b.requireHost(), { code: "unavailable" });
  await assert.rejects(allocate(b, "b", "c1"), {
    code: "unavailable",
    message: /the registry has been unreachable since /,
  });
  hosts.registryStore.isDown = false;
  await hosts.joined();
  assert.equal(await allocate(b, "b", "c1"), "172.16.4.2");
});

Deno.test("a host of a shared registry logs once why it cannot join", async () => {
  await using hosts = await SharedHosts.create("a");
  await hosts.joined();
  hosts.registryStore.isDown = true;
  const lines = await collectLogs(async () => {
    const { member } = await hosts.add("b");
    await waitFor(
      "the cause",
      () => member.link.problem.includes("out of reach"),
    );
  });
  const causes = lines.filter((line) => line.includes("out of reach"));
  assert.equal(causes.length, 1, causes.join("\n"));
  assert.match(causes[0]!, /^Cannot follow the registry at this agent, /);
});

Deno.test("agents that host one registry share the history of nodes without an agent", async () => {
  await using hosts = await SharedHosts.create("a", "b");
  await hosts.joined();
  const [a, b] = hosts.agents as [Agent, Agent];
  await a.requireHost().registry.claim("api");
  for (const node of ["api", "a"]) {
    await allocate(a, node, "c1");
    await a.addresses.release(node, { owner: owner("c1"), reason: "test" });
  }
  const ids = async (agent: Agent, node: string) =>
    (await agent.addresses.history({ node, limit: 10 })).map((r) =>
      r.owner.containerId
    );
  assert.deepEqual(await ids(b, "api"), ["c1"]);
  assert.deepEqual(await ids(a, "a"), ["c1"]);
  let pruned = 0;
  await waitFor(
    "all to be old",
    async () => (pruned += await a.addresses.pruneHistory()) === 2,
  );
  assert.deepEqual([await ids(b, "api"), await ids(a, "a")], [[], []]);
});

Deno.test("a host of a shared registry is not fenced because its store refuses it", async () => {
  await using hosts = await SharedHosts.create("a");
  await hosts.joined();
  const [a] = hosts.agents as [Agent];
  hosts.registryStore.downCode = "failed_precondition";
  hosts.registryStore.isDown = true;
  await assert.rejects(a.requireHost().registry.routes(), {
    code: "unavailable",
  });
  await assert.rejects(
    a.requireHost().pools.join({
      node: "b",
      instanceId: "b",
      advertised: [],
      apiUrl: "",
      localPrefixes: [],
      heldSubnets: [],
      clusterId: "",
    }),
    { code: "unavailable" },
  );
  assert.equal(await allocate(a, "a", "c1"), "172.16.0.2");
});

Deno.test("agents that host one registry tell each other which nodes have a copy", async () => {
  await using hosts = await SharedHosts.create("a", "b");
  await hosts.joined();
  const [a, b] = hosts.agents as [Agent, Agent];
  const problemAt = async (agent: Agent) =>
    (await agent.requireHost().nodes.list())
      .find(({ name }) => name === "b")?.problem ?? "";
  const copy = {
    ...{ node: "b", instanceId: "copied", heldSubnets: [], clusterId: "" },
    ...{ advertised: [], apiUrl: "", localPrefixes: [] },
  };
  await assert.rejects(a.requireHost().nodes.join(copy), {
    code: "already_exists",
  });
  assert.match(await problemAt(a), /another host tries to join/);
  await waitFor(
    "the other to know",
    async () => /another host tries to join/.test(await problemAt(b)),
  );
  // What another has found is not its own: it would never end.
  assert.equal(b.requireHost().nodes.problems.own.size, 0);
  b.requireHost().nodes.problems.onFound(a.instanceId, new Map());
  assert.equal(await problemAt(b), "");
});

Deno.test("agents that host one registry list the nodes that another of them refuses", async () => {
  await using hosts = await SharedHosts.create("a", "b");
  await hosts.joined();
  const [a, b] = hosts.agents as [Agent, Agent];
  const fenced = {
    ...{ node: "z", instanceId: "z", clusterId: "" },
    ...{ heldSubnets: [parsePrefix("10.9.0.0/22")] },
    ...{ advertised: [], apiUrl: "", localPrefixes: [] },
  };
  await assert.rejects(a.requireHost().nodes.join(fenced), {
    code: "failed_precondition",
  });
  const problemAt = async (agent: Agent) =>
    (await agent.requireHost().nodes.list())
      .find(({ name }) => name === "z")?.problem ?? "";
  const told = /^the registry has fenced it since .* it is not a subnet of/;
  assert.match(await problemAt(a), told);
  await waitFor("the other to know", async () => told.test(await problemAt(b)));
  assert.equal(b.requireHost().nodes.refusals.own.size, 0);
});
