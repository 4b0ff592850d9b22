import { getLogger } from "@logtape/logtape";
import { Allocators } from "../addresses/allocators.ts";
import type { AgentMetrics } from "../base/agent_metrics.ts";
import { type ErrorReason, NetError } from "../base/error.ts";
import type { sleep } from "../base/retry.ts";
import { BackOff, followWatch, retry } from "../base/retry.ts";
import type { Carve } from "../net/carve.ts";
import { formatPrefix } from "../net/prefix.ts";
import { FOREIGN_LIFETIMES } from "../security/certificates.ts";
import { IdentityRegistry } from "../security/identity_registry.ts";
import type { Trust } from "../security/trust.ts";
import { CLUSTER_PREFIX } from "../state/cluster_records.ts";
import { refuseMarked, UNMOVED } from "../state/migration_marks.ts";
import { migrateState } from "../state/schema.ts";
import type { Store } from "../store/store.ts";
import { ChangeLimit, type Guarded } from "./change_limit.ts";
import {
  type ClusterLedger,
  createClusterLedger,
  readClusterCommits,
} from "./cluster_model.ts";
import { type Clocks, OwnLiveness } from "./liveness.ts";
import { Nodes } from "./nodes.ts";
import type { AgentIdentity, NodePlace } from "./peer.ts";
import {
  type Blocker,
  type ClusterConfig,
  DEFAULT_NETWORK,
} from "./plan/cluster_state.ts";
import type { SubnetOwner } from "./plan/restore_grace.ts";
import { NodePools } from "./pools.ts";
import { Reclaimer } from "./reclaimer.ts";
import { Registry } from "./registry.ts";
import { RestoreGrace } from "./restore_grace.ts";
import { ReturningNodes } from "./returning_nodes.ts";
import { SharedLiveness } from "./shared_liveness.ts";

/** Wait before the registry's store is watched again, in ms. */
const REWATCH_MS = 500;
/** Wait before the next attempt to open a registry in a shared store, in ms. */
const REOPEN_MS = 1_000;
/** Interval between sweeps for expired certificates, tokens and revocations, in ms. */
const SWEEP_INTERVAL_MS = 60_000;

const log = getLogger(["stellar-net", "agent", "registry"]);

/** Options of the cluster's authority. */
export interface AuthorityOptions {
  /** The registry's store. */
  readonly store: Store;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Whether operators bring their own certificates: the cluster's authority signs none. Default: no. */
  readonly hasGivenCertificates?: boolean;
}

/** Options that an agent passes on to the registry that it hosts. */
export interface RegistryOptions extends Clocks, AuthorityOptions {
  /** Name of this agent's node. */
  readonly node: string;
  /** Networks to create the cluster with. Empty: those that it has, or `DEFAULT_NETWORK`. */
  readonly networks: readonly Carve[];
  /** Time for which a released address cools down, in ms. */
  readonly coolDownMs: number;
  /** The time for which this agent has been running, in ms. Default: the process's. */
  readonly runningMs?: () => number;
  /** Makes a random id. */
  readonly randomId: () => string;
  /** Waits for some milliseconds, or until a signal. Default: sleep(). */
  readonly wait?: typeof sleep;
  /** Called with each removal of a silent node that is to come, due or held back. Default: nothing. */
  readonly onRemoval?: (node: string, text: string) => void;
  /** Default: counts nothing. */
  readonly metrics?: AgentMetrics;
}

export interface RegistryHostOptions extends RegistryOptions {
  /** Random id of this agent's state. */
  readonly instanceId: string;
  /**
   * Whether other agents host the same registry. Then this agent's node joins
   * as all others do; otherwise its own addresses are in the same store.
   */
  readonly isShared: boolean;
}

/** The registry in a store, with the addresses of nodes without an agent. */
export class RegistryHost {
  readonly registry: Registry;
  readonly nodes: Nodes;
  readonly pools: NodePools;
  readonly allocators: Allocators;
  readonly cluster: ClusterConfig;
  /** The cluster's certificate authority. */
  readonly identity: IdentityRegistry;
  readonly restoreGrace: RestoreGrace;
  /** The limit of the changes that each node makes for itself. */
  readonly changeLimit: ChangeLimit;
  readonly returning: ReturningNodes;
  /** Called before another node gets a subnet. */
  beforeJoin: () => Promise<unknown> = () => Promise.resolve();
  readonly #options: RegistryHostOptions;
  readonly #ledger: ClusterLedger;
  readonly #liveness: SharedLiveness | undefined;
  readonly #reclaimer: Reclaimer;
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #sweptAtMs = -Infinity;
  #blockers: readonly Blocker[] = [];

  private constructor(
    options: RegistryHostOptions,
    parts:
      & Pick<RegistryHost, "registry" | "nodes" | "cluster" | "identity">
      & Pick<RegistryHost, "restoreGrace" | "returning">
      & {
        readonly ledger: ClusterLedger;
        readonly liveness: SharedLiveness | undefined;
      },
  ) {
    this.#options = options;
    this.#ledger = parts.ledger;
    this.#liveness = parts.liveness;
    this.registry = parts.registry;
    this.nodes = parts.nodes;
    this.cluster = parts.cluster;
    this.identity = parts.identity;
    this.restoreGrace = parts.restoreGrace;
    this.changeLimit = new ChangeLimit(options.uptimeMs);
    this.returning = parts.returning;
    this.allocators = new Allocators({
      ...options,
      keeps: (asked) => this.#keeps(asked),
    });
    this.pools = new NodePools({
      ...options,
      ...parts,
      self: options.isShared ? undefined : options.node,
      claimOwn: () => this.beforeJoin(),
      allocators: this.allocators,
      revoke: (name) =>
        this.identity.revoke({ role: "node", name }, "node removed"),
    });
    this.#reclaimer = new Reclaimer({
      uptimeMs: options.uptimeMs,
      isRemover: () => this.#liveness?.isRemover ?? true,
      restartSilence: () => this.nodes.restartSilence(),
      remove: (node) =>
        this.pools.remove(
          { node, instanceId: "", force: false },
          { isReclaimed: true },
        ),
      onRemoval: (node, text) => options.onRemoval?.(node, text),
    });
    this.identity.onChange(() => this.nodes.onTrustChanged());
  }

  /** Conditions of the registry that an operator should know about, for people. */
  get warnings(): string[] {
    return [
      ...this.#reclaimer.warnings,
      ...this.#blockers.map(formatBlocker),
    ];
  }

  /**
   * Opens the registry in a store, and creates the cluster if there is none.
   *
   * @throws {NetError} `failed_precondition` when the cluster has other
   * networks, `unavailable` when the store is out of reach
   */
  static async open(options: RegistryHostOptions): Promise<RegistryHost> {
    const { node, instanceId, store, isShared, networks } = options;
    const { now, uptimeMs, randomId } = options;
    if (isShared) await migrateState(store);
    const restoreGrace = await RestoreGrace.begin(store, { now, uptimeMs });
    const ledger = createClusterLedger({
      store,
      now,
      isShared,
      onCommitted: (changes) => nodes.onCommitted(changes),
    });
    const returning = new ReturningNodes({
      ...options,
      // In a shared store, nodes that follow another agent have no reason to join again.
      nodes: isShared
        ? []
        : await ledger.read((state) =>
          [...state.nodes.values()]
            .filter(({ name, instanceId }) =>
              instanceId !== "" && name !== node
            )
            .map(({ name }) => name)
        ),
    });
    const liveness: SharedLiveness | undefined = isShared
      ? new SharedLiveness({
        id: instanceId,
        store,
        now,
        uptimeMs,
        onChange: (name) => nodes.onLivenessChanged(name),
        onProcess: (name, processId) => nodes.onProcess(name, processId),
        findings: () => ({
          problems: nodes.problems.own,
          refused: nodes.refusals.own,
        }),
        onFindings: (id, { problems, refused }) => {
          nodes.problems.onFound(id, problems);
          nodes.refusals.receive(id, refused);
        },
      })
      : undefined;
    let trust: () => Trust | undefined = () => undefined;
    const nodes: Nodes = new Nodes(ledger, {
      self: isShared ? undefined : node,
      ownNode: node,
      uptimeMs,
      onBehind: (known, current) => restoreGrace.beginBehind(known, current),
      liveness: liveness ?? new OwnLiveness({ now, uptimeMs }),
      ...isShared && { followGrace: () => restoreGrace.follow() },
      restoreGrace: () => restoreGrace.current,
      returning,
      trust: () => trust(),
    });
    const registry = new Registry(ledger, {
      restoreGrace: () => restoreGrace.current,
      returning,
    });
    const found = await registry.config();
    const cluster = found && networks.length === 0
      ? found
      : await registry.create({
        clusterId: randomId(),
        networks: networks.length > 0 ? networks : [DEFAULT_NETWORK],
        createdAtMs: now(),
      });
    const identity = await openAuthority(options, { registry, cluster });
    trust = () => identity.knownTrust;
    const parts = { registry, nodes, cluster, identity, restoreGrace };
    return new RegistryHost(options, {
      ...parts,
      ...{ returning, ledger, liveness },
    });
  }

  /**
   * The cluster's certificate authority.
   *
   * @throws {NetError} `failed_precondition` where operators bring their own certificates
   */
  requireAuthority(): IdentityRegistry {
    if (this.#options.hasGivenCertificates) throw hasGivenCertificates();
    return this.identity;
  }

  /** Begins to follow the other agents that host the registry. */
  start(): void {
    if (!this.#liveness) return;
    this.identity.start();
    this.#liveness.start();
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await this.identity.stop();
    await this.#liveness?.stop();
  }

  /** Runs a function while nothing about the cluster changes in this agent's own store. */
  hold<T>(run: () => Promise<T>): Promise<T> {
    return this.#options.isShared ? run() : this.#ledger.exclusive(run);
  }

  /** The agent that answers for the addresses of another node. */
  async placeOf(node: string): Promise<NodePlace> {
    const record = await this.registry.node(node);
    return record && record.instanceId !== "" && record.apiUrl !== ""
      ? { kind: "agent", url: record.apiUrl }
      : { kind: "here" };
  }

  /**
   * Reserves subnets for the nodes that had them before the registry was
   * restored, as an agent remembers it. After the grace period it does nothing.
   *
   * @throws {NetError} `failed_precondition` when the agent has not joined,
   * `exhausted` when the guard refuses
   */
  async acceptOwnerReport(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
    guarded: Guarded = {},
  ): Promise<void> {
    await this.registry.checkAgent(agent);
    if (!this.restoreGrace.current) return;
    this.restoreGrace.countReport();
    await this.registry.reserveForOwners(agent.node, owners, guarded);
  }

  /**
   * Reports the nodes that have become unreachable, and removes those that
   * have been silent for too long.
   *
   * @param reclaimAfterMs undefined: removes none
   */
  async checkLiveness(reclaimAfterMs: number | undefined): Promise<void> {
    await this.restoreGrace.checkEnd();
    const nodes = await this.nodes.checkLiveness();
    this.#blockers = await this.registry.blockers();
    if (reclaimAfterMs !== undefined) {
      await this.#reclaimer.check(nodes, reclaimAfterMs);
    }
    const uptimeMs = this.#options.uptimeMs();
    if (uptimeMs - this.#sweptAtMs < SWEEP_INTERVAL_MS) return;
    this.#sweptAtMs = uptimeMs;
    await this.identity.tidy();
  }

  #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { store, metrics } = this.#options;
    return followWatch({
      signal,
      backOff: new BackOff({ firstMs: REWATCH_MS }),
      open: () => store.watch(CLUSTER_PREFIX, { signal }),
      onEvent: (event) => {
        const commits = event.kind === "changes"
          ? readClusterCommits(event.changes)
          : undefined;
        for (const commit of commits ?? [undefined]) {
          this.#ledger.receive(commit);
        }
        if (!commits) this.nodes.onGap();
      },
      onFailure: (error) => {
        log.debug("Watching the registry's store again: {error}", { error });
        metrics?.watchRestarted();
      },
    });
  }

  async #keeps(node: string): Promise<boolean> {
    const record = await this.registry.node(node);
    if (!record || record.subnets.length === 0) return false;
    const { node: self, isShared } = this.#options;
    const isSelf = !isShared && node === self;
    if (isSelf || record.instanceId === "") return true;
    throw new NetError(
      "failed_precondition",
      `Cannot reach the addresses of node "${node}": its own agent hands them out${
        record.apiUrl === ""
          ? ", and cannot be reached from other hosts: start it with --listen"
          : `, at ${record.apiUrl}`
      }`,
    );
  }
}

/**
 * A registry in a store that other agents host, too. It opens as soon as the
 * store answers: until then the agent hands out the addresses of its own node.
 */
export class SharedRegistry {
  readonly #options: RegistryHostOptions;
  readonly #stop = new AbortController();
  #host: RegistryHost | undefined;
  #problem = "it has not answered yet";
  #reason: ErrorReason | undefined;
  #opening: Promise<void> = Promise.resolve();
  readonly #tried = Promise.withResolvers<void>();

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
      { reason: this.#reason },
    );
  }

  /** As {@linkcode SharedRegistry.require}, after the first attempt to open it. */
  async whenTried(): Promise<RegistryHost> {
    await this.#tried.promise;
    return this.require();
  }

  /** Begins to open it. */
  start(): void {
    this.#opening = this.#open();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#tried.resolve();
    await this.#opening;
    await this.#host?.stop();
  }

  async #open(): Promise<void> {
    this.#host = await retry(() => RegistryHost.open(this.#options), {
      signal: this.#stop.signal,
      backOff: new BackOff({ firstMs: REOPEN_MS }),
      // The member, which cannot join meanwhile, logs the cause.
      onFailure: ({ message, details }) => {
        this.#problem = message;
        this.#reason = details.reason;
        this.#tried.resolve();
      },
    });
    this.#host?.start();
    this.#tried.resolve();
  }
}

/**
 * Opens the cluster's authority. Where operators bring their own certificates
 * it is created at once: hosts learn from it which cluster their certificates
 * have to name, and which are revoked.
 */
async function openAuthority(
  options: AuthorityOptions,
  { registry, cluster }: {
    readonly registry: Registry;
    readonly cluster: ClusterConfig;
  },
): Promise<IdentityRegistry> {
  const { store, now, hasGivenCertificates } = options;
  const identity = await IdentityRegistry.open({
    store,
    clusterId: cluster.clusterId,
    now,
    nodes: { view: () => registry.viewNodes() },
    ...(hasGivenCertificates && { lifetimes: FOREIGN_LIFETIMES }),
    marks: {
      checks: UNMOVED,
      refuse: (entry) => refuseMarked(store, entry),
    },
  });
  if (hasGivenCertificates) await identity.trust();
  return identity;
}

function formatBlocker(
  { node, network, blocked, total, ignored }: Blocker,
): string {
  const text = formatPrefix(network);
  const shown = ignored.slice(0, 3).map(({ prefix, device }) =>
    `${formatPrefix(prefix)} on ${device}`
  );
  const more = ignored.length > 3 ? ` and ${ignored.length - 3} more` : "";
  return [
    `the prefixes of node "${node}" block ${blocked} of the ${total} subnets of ${text}`,
    ...ignored.length === 0 ? [] : [
      `${shown.join(", ")}${more} ${
        ignored.length === 1 ? "blocks" : "block"
      } nobody, since that would be most of the network`,
    ],
  ].join("; ");
}

function hasGivenCertificates(): NetError {
  return new NetError(
    "failed_precondition",
    "Cannot use the cluster's own certificates: this agent was started with --tls-cert, --tls-key and --tls-ca; have certificates issued by the authority that signs those",
  );
}
