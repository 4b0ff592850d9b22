import { getLogger } from "@logtape/logtape";
import type { JoinRequest } from "../cluster/join.ts";
import type { ClusterConfig } from "../cluster/state.ts";
import { NetError } from "../error.ts";
import type { Carve } from "../net/carve.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Store } from "../store/store.ts";
import { DEFAULT_NETWORK } from "./agent_options.ts";
import { Allocators } from "./allocators.ts";
import { createClusterLedger } from "./cluster_ledger.ts";
import { ClusterView } from "./cluster_view.ts";
import type { Home, HostFacts, NodePlace, RegistryLink } from "./home.ts";
import { Membership } from "./membership.ts";
import type { AgentMetrics } from "./metrics.ts";
import { NodePools } from "./node_pools.ts";
import { Registry } from "./registry.ts";
import { sleep } from "./sleep.ts";

/** Time to the next watch after one that failed, in ms. */
const REWATCH_MS = 500;

const log = getLogger(["stellar-net", "agent", "registry"]);

/** What a registry is hosted with. */
export interface RegistryHostOptions {
  /** The node of this agent. */
  readonly node: string;
  /** Random id of its state. */
  readonly instanceId: string;
  readonly store: Store;
  /** Networks to create the cluster with. Empty: those that it has, or the default. */
  readonly networks: readonly Carve[];
  /** How long a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Makes a random id. */
  readonly randomId: () => string;
  /** Default: nothing is counted. */
  readonly metrics?: AgentMetrics;
}

/**
 * The home of an agent that hosts the registry. Its own addresses, and those of
 * nodes without an agent, are in the same store.
 */
export class RegistryHost implements Home {
  readonly registry: Registry;
  readonly membership: Membership;
  readonly pools: NodePools;
  readonly allocators: Allocators;
  readonly cluster: ClusterConfig;
  readonly view = new ClusterView();
  readonly #options: RegistryHostOptions;
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #link: RegistryLink;
  #onChange: () => void = () => {};

  private constructor(
    options: RegistryHostOptions,
    started: {
      readonly registry: Registry;
      readonly membership: Membership;
      readonly cluster: ClusterConfig;
    },
  ) {
    this.#options = options;
    this.registry = started.registry;
    this.membership = started.membership;
    this.cluster = started.cluster;
    this.allocators = new Allocators({
      ...options,
      keeps: (node) => this.#keeps(node),
    });
    this.pools = new NodePools({
      ...options,
      ...started,
      self: options.node,
      claimOwn: async () => {
        if (this.#link.state !== "left") await this.claim();
      },
      allocators: this.allocators,
    });
    this.#link = {
      state: "hosted",
      sinceMs: options.now(),
      problem: "",
      url: "",
      urls: [],
    };
  }

  /**
   * Hosts the registry that is in a store: the cluster is created, or found.
   *
   * @throws {NetError} `failed_precondition` when the cluster has other networks
   */
  static async open(options: RegistryHostOptions): Promise<RegistryHost> {
    const { node, store, networks, now, randomId } = options;
    const ledger = createClusterLedger({
      store,
      now,
      onCommitted: (changes) => membership.onCommitted(changes),
    });
    const membership = new Membership(ledger, { self: node, now });
    const registry = new Registry(ledger);
    const found = await registry.config();
    const cluster = found && networks.length === 0
      ? found
      : await registry.create({
        clusterId: randomId(),
        networks: networks.length > 0 ? networks : [DEFAULT_NETWORK],
        createdAtMs: now(),
      });
    return new RegistryHost(options, { registry, membership, cluster });
  }

  get link(): RegistryLink {
    return this.#link;
  }

  get subnets(): readonly Prefix[] {
    return this.view.nodes.get(this.#options.node)?.subnets ?? [];
  }

  checkPresent(): void {
    if (this.#link.state !== "left") return;
    throw new NetError(
      "failed_precondition",
      `Cannot hand out addresses: node "${this.#options.node}" has left the cluster; start its agent again to come back`,
    );
  }

  async claim(): Promise<readonly Prefix[]> {
    this.checkPresent();
    return await this.registry.claim(this.#options.node);
  }

  async checkClaim(): Promise<void> {
    this.checkPresent();
    await this.registry.checkClaim(this.#options.node);
  }

  async current(): Promise<ClusterView> {
    const view = new ClusterView();
    view.apply(await this.membership.snapshot());
    return view;
  }

  async placeOf(node: string): Promise<NodePlace> {
    if (node === this.#options.node) return { kind: "here" };
    const record = await this.registry.node(node);
    return record && record.instanceId !== "" && record.apiUrl !== ""
      ? { kind: "agent", url: record.apiUrl }
      : { kind: "here" };
  }

  async report(facts: HostFacts): Promise<void> {
    if (this.#link.state === "left") return;
    const { node, instanceId } = this.#options;
    await this.registry.report({ node, instanceId, ...facts });
  }

  start(onChange: () => void): void {
    this.#onChange = onChange;
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async leave(): Promise<readonly Prefix[]> {
    const { node, instanceId, now } = this.#options;
    const known = await this.registry.node(node);
    const subnets = known
      ? await this.pools.remove({ node, instanceId, force: true })
      : [];
    this.#link = { ...this.#link, state: "left", sinceMs: now() };
    this.#onChange();
    return subnets;
  }

  /** Takes in a host that joins: {@linkcode NodePools.join}. */
  join(request: JoinRequest): ReturnType<NodePools["join"]> {
    return this.pools.join(request);
  }

  /** Removes the nodes that have been silent for so long, and tells who has fallen silent. */
  async look(reclaimAfterMs: number | undefined): Promise<void> {
    for (const node of await this.membership.look(reclaimAfterMs)) {
      await this.pools.remove({ node, instanceId: "", force: true });
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const event of this.membership.watch(signal)) {
          this.view.apply(event);
          this.#onChange();
        }
      } catch (error) {
        // Too far behind, or the store is out of reach: a new watch begins
        // with a snapshot.
        if (!(error instanceof NetError)) throw error;
        log.debug("Watching the registry again: {error}", { error });
        this.#options.metrics?.watchRestarted();
        await sleep(REWATCH_MS, signal);
      }
    }
  }

  async #keeps(node: string): Promise<boolean> {
    const record = await this.registry.node(node);
    if (!record || record.subnets.length === 0) return false;
    if (node === this.#options.node || record.instanceId === "") return true;
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
