import { getLogger } from "@logtape/logtape";
import {
  type JoinRequest,
  planJoin,
  planRemoval,
  type RemovalRequest,
} from "./plan/join_plan.ts";
import type { ClusterPlan } from "./plan/subnet_plan.ts";
import { refuseNewSubnets, type Settling } from "./plan/restore_grace.ts";
import type { ClusterState, NodeRecord } from "./plan/cluster_state.ts";
import { NetError } from "../base/error.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Version } from "../store/store.ts";
import type { Trust } from "../security/trust.ts";
import { ClusterFeed, type Dirty } from "./feed.ts";
import type { ClusterLedger, RegistryChange } from "./cluster_model.ts";
import type { ClusterEvent, ClusterNode } from "./view.ts";
import type { Liveness } from "./liveness.ts";

const log = getLogger(["stellar-net", "agent", "nodes"]);

/** What the registry's own store has of the addresses of a node that joins or goes. */
export interface PoolState {
  /** Version of its pool; null when there is none. */
  readonly version: Version | null;
  /** Whether addresses are held. */
  readonly isHolding: boolean;
}

const NO_POOL: PoolState = { version: null, isHolding: false };

/** A node that is to be forgotten. */
export type NodeRemoval = Omit<RemovalRequest, "isAlive">;

/** The nodes of the cluster: who joins, who is alive, and who follows. */
export class Membership {
  readonly #ledger: ClusterLedger;
  readonly #feed: ClusterFeed;
  readonly #liveness: Liveness;
  /** The node of this agent, where that is alive as long as it answers. */
  readonly #self: string | undefined;
  readonly #settling: () => Settling | undefined;
  readonly #trust: () => Trust | undefined;

  constructor(
    ledger: ClusterLedger,
    options: {
      readonly self: string | undefined;
      readonly liveness: Liveness;
      /** How it stands after a restore. */
      readonly settling?: () => Settling | undefined;
      /** What nodes are to check each other with; undefined for nothing. */
      readonly trust?: () => Trust | undefined;
    },
  ) {
    this.#ledger = ledger;
    this.#self = options.self;
    this.#liveness = options.liveness;
    this.#settling = options.settling ?? (() => undefined);
    this.#trust = options.trust ?? (() => undefined);
    this.#feed = new ClusterFeed({
      snapshot: (then) =>
        this.#ledger.read((state) => then(this.#snapshot(state))),
      changes: (dirty) =>
        this.#ledger.read((state) => this.#changes(state, dirty)),
    });
  }

  /** Takes in that a node is alive or silent, as others tell, for those who watch. */
  onLivenessChanged(node: string): void {
    this.#feed.touchNode(node);
  }

  /** Takes in that what nodes check each other with has changed, for those who watch. */
  onTrustChanged(): void {
    this.#feed.touchTrust();
  }

  /** Takes in that all may be different: who watches begins anew. */
  onGap(): void {
    this.#feed.reset();
  }

  /** Takes in what was committed, for those who watch. */
  onCommitted(changes: readonly RegistryChange[]): void {
    for (const change of changes) {
      if (change.kind === "node") this.#feed.touchNode(change.name);
      if (change.kind === "route") {
        this.#feed.touchRoute(formatPrefix(change.destination));
      }
    }
  }

  /**
   * Makes a node known and gives it one subnet of each network, or those that
   * it has. Its addresses are its own agent's from then on.
   *
   * @param pool what the registry's store has of its addresses
   * @throws {NetError} `already_exists` when another host has its name,
   * `failed_precondition` when it is fenced, `exhausted` when none is left,
   * `unavailable` while the registry is settling and it has none
   */
  async join(
    request: JoinRequest,
    pool: PoolState = NO_POOL,
  ): Promise<readonly Prefix[]> {
    const { node } = request;
    let isNews = true;
    const subnets = await this.#ledger.submit((state, nowMs) => {
      const plan = planJoin(state, request, nowMs);
      if (plan.kind === "refused") return plan;
      const settling = this.#settling();
      const claim = { node, held: request.heldSubnets, subnets: plan.answer };
      const refusal = settling && refuseNewSubnets(state, claim, settling);
      if (refusal) return refusal;
      isNews = plan.changes.length > 0;
      const change = endOfPool(node, { ...pool, subnets: plan.answer });
      return { ...plan, changes: [...plan.changes, ...change] };
    });
    this.#hear(node);
    if (isNews) {
      log.info("Node {node} joined with {subnets}", {
        node,
        subnets: subnets.map(formatPrefix).join(" and "),
      });
    }
    return subnets;
  }

  /**
   * Takes in that a node is alive.
   *
   * @throws {NetError} `not_found` when it is not known, `already_exists` when
   * another host has its name
   */
  async heartbeat(node: string, instanceId: string): Promise<void> {
    const known = await this.#ledger.read((state) => state.nodes.get(node));
    if (!known || known.instanceId === "") {
      throw new NetError(
        "not_found",
        `Cannot take a heartbeat of node "${node}": it is not known; it has to join`,
      );
    }
    if (known.instanceId !== instanceId) {
      throw new NetError(
        "already_exists",
        `Cannot take a heartbeat of node "${node}": another host has that name now`,
      );
    }
    this.#hear(node);
  }

  /** Returns when {@linkcode Membership.remove} would succeed, and throws what it would throw. */
  checkRemoval(request: NodeRemoval): Promise<void> {
    return this.#ledger.submit((state, nowMs) => {
      const plan = this.#planRemoval(state, request, nowMs);
      return plan.kind === "refused"
        ? plan
        : { kind: "planned", answer: undefined, changes: [] };
    });
  }

  /**
   * Forgets a node and frees its subnets.
   *
   * @param pool what the registry's store has of its addresses: none is held
   * @throws {NetError} `not_found`, or `failed_precondition` when it is alive
   * and the removal is not forced
   */
  async remove(
    request: NodeRemoval,
    pool: Pick<PoolState, "version"> = NO_POOL,
  ): Promise<readonly Prefix[]> {
    const { node } = request;
    const subnets = await this.#ledger.submit((state, nowMs) => {
      const plan = this.#planRemoval(state, request, nowMs);
      if (plan.kind === "refused") return plan;
      const change = endOfPool(node, { ...pool, isHolding: false });
      return { ...plan, changes: [...plan.changes, ...change] };
    });
    this.#liveness.forget(node);
    log.info("Node {node} was removed", { node });
    return subnets;
  }

  /** The nodes that are known, by name. */
  nodes(): Promise<ClusterNode[]> {
    return this.#ledger.read((state) => this.#view(state.nodes.values()));
  }

  /** The nodes that are known and the extra routes. */
  snapshot(): Promise<ClusterEvent> {
    return this.#ledger.read((state) => this.#snapshot(state));
  }

  /** Follows nodes and extra routes. */
  watch(signal: AbortSignal): AsyncIterable<ClusterEvent> {
    return this.#feed.watch(signal);
  }

  /**
   * Looks which nodes have fallen silent.
   *
   * @returns those that have been silent for so long, in ms
   */
  async look(silentMs = Infinity): Promise<string[]> {
    const names = await this.#ledger.read((state) =>
      [...state.nodes.values()]
        .filter((n) => n.instanceId !== "" && n.name !== this.#self)
        .map(({ name }) => name)
    );
    for (const node of this.#liveness.takeSilent(names)) {
      log.warn("Node {node} is not heard of any more", { node });
      this.#feed.touchNode(node);
    }
    return names.filter((n) => this.#liveness.silentForMs(n) >= silentMs);
  }

  #planRemoval(
    state: ClusterState,
    request: NodeRemoval,
    nowMs: number,
  ): ClusterPlan<readonly Prefix[]> {
    const isAlive = this.#stateOf(state.nodes.get(request.node)) === "ready";
    return planRemoval(state, { ...request, isAlive }, nowMs);
  }

  #hear(node: string): void {
    if (!this.#liveness.hear(node)) return;
    log.info("Node {node} is heard of again", { node });
    this.#feed.touchNode(node);
  }

  #stateOf(node: NodeRecord | undefined): ClusterNode["state"] {
    if (!node || node.instanceId === "") return "no agent";
    return node.name === this.#self || this.#liveness.isAlive(node.name)
      ? "ready"
      : "unreachable";
  }

  #view(nodes: Iterable<NodeRecord>): ClusterNode[] {
    return [...nodes]
      .map((node): ClusterNode => ({
        name: node.name,
        subnets: node.subnets,
        advertised: node.advertised,
        apiUrl: node.apiUrl,
        state: this.#stateOf(node),
        joinedAtMs: node.joinedAtMs,
        seenAtMs: this.#liveness.seenAtMs(node.name),
      }))
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }

  #snapshot(state: ClusterState): ClusterEvent {
    return {
      revision: state.revision,
      isSnapshot: true,
      nodes: this.#view(state.nodes.values()),
      routes: [...state.routes.values()],
      removedNodes: [],
      removedRoutes: [],
      ...this.#trustPart(),
    };
  }

  #changes(
    state: ClusterState,
    dirty: Dirty,
  ): ClusterEvent {
    const nodes = [...dirty.nodes];
    const routes = [...dirty.routes];
    return {
      revision: state.revision,
      isSnapshot: false,
      nodes: this.#view(nodes.flatMap((n) => state.nodes.get(n) ?? [])),
      routes: routes.flatMap((r) => state.routes.get(r) ?? []),
      removedNodes: nodes.filter((n) => !state.nodes.has(n)),
      removedRoutes: routes.filter((r) => !state.routes.has(r)),
      ...(dirty.trust ? this.#trustPart() : {}),
    };
  }

  #trustPart(): Pick<ClusterEvent, "trust"> {
    const trust = this.#trust();
    return trust?.authorities.length ? { trust } : {};
  }
}

/** The change that ends what the registry's store has of a node's addresses. */
function endOfPool(
  node: string,
  pool: PoolState & { readonly subnets?: readonly Prefix[] },
): RegistryChange[] {
  const { version, isHolding, subnets = [] } = pool;
  if (version === null) return [];
  return isHolding
    ? [{ kind: "hand over pool", node, subnets, version }]
    : [{ kind: "close pool", node, version }];
}
