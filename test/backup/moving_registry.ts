import assert from "node:assert/strict";
import { Agent } from "../../src/agent/agent.ts";
import { migrateRegistry } from "../../src/backup/migrate.ts";
import type {
  MigrationProgress,
  MigrationSummary,
} from "../../src/backup/port.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { ETCD_LIMITS } from "../../src/store/etcd/codec.ts";
import type { Store } from "../../src/store/store.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { owner } from "../addresses/plan/pools.ts";
import { waitFor } from "../support/wait_for.ts";
import { allocate, held } from "../agent/agents.ts";

/** A store in memory with a URL of its own. */
export class NamedStore extends FaultyStore {
  readonly #url: string;

  constructor(store: Store, url: string) {
    super(store);
    this.#url = url;
  }

  override get url(): string {
    return this.#url;
  }
}

/** Two stores: that of an agent which hosts a registry, and an empty one. */
export class Stores implements AsyncDisposable {
  readonly kv: NamedStore;
  readonly etcd: NamedStore;

  private constructor(kv: Store, etcd: Store) {
    this.kv = new NamedStore(kv, "kv:/state.db");
    this.etcd = new NamedStore(etcd, "etcd://h1:2379/p");
    this.etcd.limits = ETCD_LIMITS;
  }

  static async create(): Promise<Stores> {
    const stores = new Stores(
      await openDenoKv({ path: ":memory:" }),
      await openDenoKv({ path: ":memory:" }),
    );
    await fill(stores.kv);
    return stores;
  }

  toEtcd(
    options: { dryRun?: boolean } = {},
  ): Promise<MigrationSummary> {
    return migrate(this.kv, this.etcd, options);
  }

  toKv(): Promise<MigrationSummary> {
    return migrate(this.etcd, this.kv);
  }

  /** As when the process that moves a registry is ended. */
  set isDown(isDown: boolean) {
    this.kv.isDown = isDown;
    this.etcd.isDown = isDown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kv.close();
    await this.etcd.close();
  }
}

export function migrate(
  source: Store,
  target: Store,
  options: {
    dryRun?: boolean;
    onProgress?: (progress: MigrationProgress) => void;
  } = {},
): Promise<MigrationSummary> {
  const randomId = () => crypto.randomUUID();
  return migrateRegistry({
    source,
    target,
    randomId,
    dryRun: false,
    ...options,
  });
}

/** An agent on a store, the registry in it or in another. */
export async function start(
  store: Store,
  registryStore?: Store,
): Promise<Agent> {
  const agent = await Agent.start({
    node: "a",
    store,
    ...registryStore && { registryStore },
    peers: [],
    networks: [],
    coolDownMs: 1000,
    keepHistoryMs: 10_000,
    bootId: "boot-1",
    leakGraceMs: 100,
    netns: { find: () => Promise.resolve({ kind: "gone" }) },
    queue: { take: () => [], done: () => {} } as never,
    now: () => 1_000_000,
    uptimeMs: () => 1_000_000,
    randomId: () => crypto.randomUUID(),
    random: () => 0,
  });
  await agent.member.report({
    advertised: [parseAddress("198.18.0.10")],
    apiUrl: "",
    localPrefixes: [],
  });
  return agent;
}

/** Fills the registry of the agent "a": addresses here and of a node without an agent, routes, reservations. */
export async function fill(store: Store): Promise<void> {
  const agent = await start(store);
  const { registry, nodes: members, pools } = agent.requireHost();
  for (let i = 0; i < 5; i++) await allocate(agent, `own${i}`);
  await registry.claim("api");
  for (let i = 0; i < 150; i++) {
    await allocate(agent, `c${i}`, { node: "api" });
  }
  await agent.addresses.release("api", { owner: owner("c3"), reason: "test" });
  await agent.addresses.release("a", { owner: owner("own3"), reason: "test" });
  await registry.reserve({
    subnet: parsePrefix("172.16.64.0/22"),
    node: "",
    reason: "printers",
  });
  await registry.addRoute({
    destination: parsePrefix("192.0.2.0/24"),
    target: parseAddress("198.18.0.9"),
  });
  await registry.claim("later");
  await allocate(agent, "l1", { node: "later" });
  for (const node of ["b", "later"]) {
    await pools.join({
      node,
      instanceId: `instance-${node}`,
      advertised: [parseAddress("198.18.0.11")],
      apiUrl: "http://198.18.0.11:9000",
      localPrefixes: [],
      heldSubnets: [],
      clusterId: "",
    });
  }
  assert.equal((await members.list()).length, 4);
  await agent.stop();
}

/** What an agent knows of the registry, its own addresses among it. */
export async function describe(agent: Agent): Promise<unknown> {
  const { registry } = agent.requireHost();
  return {
    cluster: (await registry.config())?.clusterId,
    subnets: (await registry.subnets()).map((s) => ({
      ...s,
      subnet: formatPrefix(s.subnet),
    })),
    routes: (await registry.routes()).map(({ destination, target }) =>
      `${formatPrefix(destination)} ${formatAddress(target)}`
    ),
    own: await held(agent, "a"),
    api: await held(agent, "api"),
    history: [
      ...await agent.addresses.history({ node: "api", limit: 500 }),
      ...await agent.addresses.history({ node: "a", limit: 500 }),
    ],
  };
}

export async function use<T>(
  agent: Agent,
  then: (agent: Agent) => Promise<T>,
): Promise<T> {
  agent.follow(() => {});
  try {
    await waitFor(
      `the registry, not ${JSON.stringify(agent.member.link)}`,
      () => agent.member.link.state === "hosted" && agent.host !== undefined,
    );
    return await then(agent);
  } finally {
    await agent.stop();
  }
}

/** What is said of a registry that has moved. */
export const LEFT = /has moved from \S+ to \S+ already; start the agents/;
