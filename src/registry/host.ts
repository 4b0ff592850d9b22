import { getLogger } from "@logtape/logtape";
import { Allocators } from "../addresses/allocators.ts";
import type { AgentMetrics } from "../base/agent_metrics.ts";
import { NetError } from "../base/error.ts";
import { sleep } from "../base/periodic_task.ts";
import type { Carve } from "../net/carve.ts";
import { FOREIGN_LIFETIMES, type Lifetimes } from "../security/certificates.ts";
import { IdentityRegistry } from "../security/identity_registry.ts";
import type { Trust } from "../security/trust.ts";
import { CLUSTER_PREFIX } from "../state/cluster_records.ts";
import { migrateState } from "../state/schema.ts";
import type { Store } from "../store/store.ts";
import {
  type ClusterLedger,
  createClusterLedger,
  readClusterCommits,
} from "./cluster_model.ts";
import { type Clocks, OwnLiveness } from "./liveness.ts";
import { Membership } from "./nodes.ts";
import type { AgentIdentity, NodePlace } from "./peer.ts";
import type { SubnetOwner } from "./plan/restore_grace.ts";
import { type ClusterConfig, DEFAULT_NETWORK } from "./plan/cluster_state.ts";
import { NodePools } from "./pools.ts";
import { Registry } from "./registry.ts";
import { RestoreGrace } from "./restore_grace.ts";
import { SharedLiveness } from "./shared_liveness.ts";
import { refuseMarked, UNMOVED } from "../state/migration_marks.ts";

/** Time to the next watch after one that failed, in ms. */
const REWATCH_MS = 500;
/** How often it is looked what identities have ended, in ms. */
const TIDY_INTERVAL_MS = 60_000;

const log = getLogger(["stellar-net", "agent", "registry"]);

/** What a registry is hosted with. */
export interface RegistryHostOptions extends Clocks {
  /** The node of this agent. */
  readonly node: string;
  /** Random id of its state. */
  readonly instanceId: string;
  readonly store: Store;
  /**
   * Whether other agents host the same registry. Then the node of this agent
   * joins as all do; otherwise its own addresses are in the same store.
   */
  readonly isShared: boolean;
  /** Networks to create the cluster with. Empty: those that it has, or the default. */
  readonly networks: readonly Carve[];
  /** How long a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** Makes a random id. */
  readonly randomId: () => string;
  /** Default: nothing is counted. */
  readonly metrics?: AgentMetrics;
  /** Whether certificates are an operator's own: the cluster's authority signs none. Default: it does. */
  readonly hasGivenCertificates?: boolean;
  /** How long certificates last, where it is not as usual. */
  readonly certificateLifetimes?: Partial<Lifetimes>;
}

/** The registry that is in a store, with the addresses of nodes without an agent. */
export class RegistryHost {
  readonly registry: Registry;
  readonly membership: Membership;
  readonly pools: NodePools;
  readonly allocators: Allocators;
  readonly cluster: ClusterConfig;
  /** The cluster's certificate authority. */
  readonly identity: IdentityRegistry;
  /** How it stands after a restore. */
  readonly settling: RestoreGrace;
  /** What is done before another host gets a subnet. */
  beforeJoin: () => Promise<unknown> = () => Promise.resolve();
  readonly #options: RegistryHostOptions;
  readonly #ledger: ClusterLedger;
  readonly #liveness: SharedLiveness | undefined;
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #tidiedAtMs = -Infinity;

  private constructor(
    options: RegistryHostOptions,
    started: {
      readonly ledger: ClusterLedger;
      readonly registry: Registry;
      readonly membership: Membership;
      readonly liveness: SharedLiveness | undefined;
      readonly cluster: ClusterConfig;
      readonly identity: IdentityRegistry;
      readonly settling: RestoreGrace;
    },
  ) {
    const { node, isShared } = options;
    this.#options = options;
    this.#ledger = started.ledger;
    this.#liveness = started.liveness;
    this.registry = started.registry;
    this.membership = started.membership;
    this.cluster = started.cluster;
    this.identity = started.identity;
    this.settling = started.settling;
    this.allocators = new Allocators({
      ...options,
      keeps: (asked) => this.#keeps(asked),
    });
    this.pools = new NodePools({
      ...options,
      ...started,
      self: isShared ? undefined : node,
      claimOwn: () => this.beforeJoin(),
      allocators: this.allocators,
      revoke: async (name) => {
        await this.identity.revoke({ role: "node", name }, "node removed");
      },
    });
    this.identity.onChange(() => this.membership.onTrustChanged());
  }

  /**
   * Hosts the registry that is in a store: the cluster is created, or found.
   *
   * @throws {NetError} `failed_precondition` when the cluster has other
   * networks, `unavailable` when the store is out of reach
   */
  static async open(options: RegistryHostOptions): Promise<RegistryHost> {
    const { node, instanceId, store, isShared, networks } = options;
    const { now, uptimeMs, randomId } = options;
    if (isShared) await migrateState(store);
    const settling = await RestoreGrace.begin(store, { uptimeMs });
    const ledger = createClusterLedger({
      store,
      now,
      isShared,
      onCommitted: (changes) => membership.onCommitted(changes),
    });
    let trust = (): Trust | undefined => undefined;
    const liveness = isShared
      ? new SharedLiveness({
        id: instanceId,
        store,
        now,
        uptimeMs,
        onChange: (name) => membership.onLivenessChanged(name),
      })
      : undefined;
    const membership = new Membership(ledger, {
      self: isShared ? undefined : node,
      liveness: liveness ?? new OwnLiveness({ now, uptimeMs }),
      settling: () => settling.now,
      trust: () => trust(),
    });
    const registry = new Registry(ledger, () => settling.now);
    const found = await registry.config();
    const cluster = found && networks.length === 0
      ? found
      : await registry.create({
        clusterId: randomId(),
        networks: networks.length > 0 ? networks : [DEFAULT_NETWORK],
        createdAtMs: now(),
      });
    const identity = await openIdentity(options, { registry, cluster });
    trust = () => identity.knownTrust;
    return new RegistryHost(options, {
      ledger,
      registry,
      membership,
      liveness,
      cluster,
      identity,
      settling,
    });
  }

  /**
   * The cluster's certificate authority.
   *
   * @throws {NetError} `failed_precondition` where it signs nothing
   */
  requireIdentity(): IdentityRegistry {
    if (this.#options.hasGivenCertificates) throw hasGivenCertificates();
    return this.identity;
  }

  /** Begins to follow what other agents that host the registry do. */
  start(): void {
    if (!this.#liveness) return;
    this.identity.start();
    this.#liveness.start();
    this.#following = this.#follow();
  }

  /** Stops following. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await this.identity.stop();
    await this.#liveness?.stop();
  }

  /** Runs a function while nothing about the cluster is changed in this agent's own store. */
  hold<T>(run: () => Promise<T>): Promise<T> {
    return this.#options.isShared ? run() : this.#ledger.exclusive(run);
  }

  /** Which agent answers for the addresses of a node that is not this agent's. */
  async placeOf(node: string): Promise<NodePlace> {
    const record = await this.registry.node(node);
    return record && record.instanceId !== "" && record.apiUrl !== ""
      ? { kind: "agent", url: record.apiUrl }
      : { kind: "here" };
  }

  /**
   * Takes in who had which subnet before the registry was restored, as an
   * agent remembers it. Afterwards it is too late.
   *
   * @throws {NetError} `failed_precondition` when the agent has not joined
   */
  async takeOwners(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
  ): Promise<void> {
    await this.registry.checkAgent(agent);
    if (!this.settling.now) return;
    this.settling.countReport();
    await this.registry.keepForOwners(agent.node, owners);
  }

  /** Removes the nodes that have been silent for so long, and tells who has fallen silent. */
  async look(reclaimAfterMs: number | undefined): Promise<void> {
    await this.settling.look();
    for (const node of await this.membership.look(reclaimAfterMs)) {
      const removal = { node, instanceId: "", force: true };
      await this.pools.remove(removal, { isReclaimed: true });
    }
    const uptimeMs = this.#options.uptimeMs();
    if (uptimeMs - this.#tidiedAtMs < TIDY_INTERVAL_MS) return;
    this.#tidiedAtMs = uptimeMs;
    await this.identity.tidy();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { store } = this.#options;
    while (!signal.aborted) {
      try {
        for await (const event of store.watch(CLUSTER_PREFIX, { signal })) {
          const commits = event.kind === "changes"
            ? readClusterCommits(event.changes)
            : undefined;
          for (const commit of commits ?? [undefined]) {
            this.#ledger.takeIn(commit);
          }
          if (!commits) this.membership.onGap();
        }
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        log.debug("Watching the registry's store again: {error}", { error });
        this.#options.metrics?.watchRestarted();
      }
      await sleep(REWATCH_MS, signal);
    }
  }

  async #keeps(node: string): Promise<boolean> {
    const record = await this.registry.node(node);
    if (!record || record.subnets.length === 0) return false;
    if (this.#isSelf(node) || record.instanceId === "") return true;
    throw new NetError(
      "failed_precondition",
      `Cannot reach the addresses of node "${node}": its own agent hands them out${
        record.apiUrl === ""
          ? ", and cannot be reached from other hosts: start it with --listen"
          : `, at ${record.apiUrl}`
      }`,
    );
  }

  /** Whether it is this agent's own node, with its addresses in this store. */
  #isSelf(node: string): boolean {
    const { node: self, isShared } = this.#options;
    return !isShared && node === self;
  }
}

/** With what the cluster's authority is opened. */
export interface IdentityHostOptions {
  /** The registry's. */
  readonly store: Store;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** How long certificates last, where it is not as usual. */
  readonly certificateLifetimes?: Partial<Lifetimes>;
  /** Whether certificates are an operator's own: then only names are revoked here. */
  readonly hasGivenCertificates?: boolean;
}

/**
 * Opens the cluster's authority. Where certificates are an operator's own, it
 * is made at once: with it hosts are told which cluster theirs have to be of,
 * and what is revoked.
 */
export async function openIdentity(
  options: IdentityHostOptions,
  { registry, cluster }: {
    readonly registry: Registry;
    readonly cluster: ClusterConfig;
  },
): Promise<IdentityRegistry> {
  const { store, now, hasGivenCertificates } = options;
  const lifetimes = hasGivenCertificates
    ? FOREIGN_LIFETIMES
    : options.certificateLifetimes;
  const identity = await IdentityRegistry.open({
    store,
    clusterId: cluster.clusterId,
    now,
    nodes: {
      has: async (name) => await registry.node(name) !== undefined,
      alike: (name) => registry.alike(name),
      reachedAt: (address, except) => registry.reachedAt(address, except),
    },
    ...(lifetimes && { lifetimes }),
    marks: {
      checks: UNMOVED,
      refuse: (entry) => refuseMarked(store, entry),
    },
  });
  if (hasGivenCertificates) await identity.trust();
  return identity;
}

/** The error where certificates are an operator's own. */
export function hasGivenCertificates(): NetError {
  return new NetError(
    "failed_precondition",
    "Cannot use the cluster's own certificates: this agent was started with --tls-cert, --tls-key and --tls-ca; have certificates issued by the authority that signs those",
  );
}

/** Time to the next attempt to open it, in ms. */
const RETRY_MS = 1_000;

/**
 * The registry in a store that other agents host, too. It is opened as soon as
 * the store answers: an agent starts, and hands out the addresses of its own
 * node, while that is out of reach.
 */
export class SharedRegistry {
  readonly #options: RegistryHostOptions;
  readonly #stop = new AbortController();
  #host: RegistryHost | undefined;
  #problem = "it was not asked yet";
  #opening: Promise<void> = Promise.resolve();
  readonly #asked = Promise.withResolvers<void>();

  constructor(options: RegistryHostOptions) {
    this.#options = options;
  }

  /** Undefined until it is open. */
  get host(): RegistryHost | undefined {
    return this.#host;
  }

  /** @throws {NetError} `unavailable` until it is open */
  require(): RegistryHost {
    if (this.#host) return this.#host;
    throw new NetError(
      "unavailable",
      `Cannot reach the registry in ${this.#options.store.url}: ${this.#problem}`,
    );
  }

  /** As {@linkcode SharedRegistry.require}, once the store was asked. */
  async whenAsked(): Promise<RegistryHost> {
    await this.#asked.promise;
    return this.require();
  }

  /** Begins to open it. */
  start(): void {
    this.#opening = this.#open();
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#asked.resolve();
    await this.#opening;
    await this.#host?.stop();
  }

  async #open(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        this.#host = await RegistryHost.open(this.#options);
        this.#host.start();
        this.#asked.resolve();
        return;
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        if (error.message !== this.#problem) {
          log.warn("Cannot open the registry, trying again: {error}", {
            error: error.message,
          });
        }
        this.#problem = error.message;
        this.#asked.resolve();
      }
      await sleep(RETRY_MS, signal);
    }
  }
}
