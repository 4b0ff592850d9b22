import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Trust } from "../security/trust.ts";
import type { Version } from "../store/store.ts";
import type { Guarded } from "./change_limit.ts";
import type { ClusterLedger, RegistryChange } from "./cluster_model.ts";
import {
  type Changed,
  type ClusterEvent,
  ClusterFeed,
  type ClusterNode,
} from "./feed.ts";
import type { Liveness } from "./liveness.ts";
import type { ClusterState, NodeRecord } from "./plan/cluster_state.ts";
import {
  type JoinRequest,
  planJoin,
  planRemoval,
  refuseOtherHost,
  type RemovalRequest,
} from "./plan/join_plan.ts";
import {
  refuseNewSubnets,
  type RestoreGraceTime,
} from "./plan/restore_grace.ts";
import { checkOnly, type ClusterPlan } from "./plan/cluster_plan.ts";
import type { WatchedNode } from "./plan/reclaim_plan.ts";
import { NodeProblems } from "./node_problems.ts";
import { Processes } from "./processes.ts";
import { Refusals } from "./refusals.ts";
import {
  NO_RETURNING_NODES,
  type RefuseEarly,
  type ReturningNodes,
} from "./returning_nodes.ts";

const log = getLogger(["stellar-net", "agent", "nodes"]);

/** The pool of a node's addresses in the registry's own store. */
export interface PoolState {
  /** Its version; null when there is none. */
  readonly version: Version | null;
  /** Whether it holds addresses. */
  readonly isHolding: boolean;
}

/**
 * Most time for which a join waits for other nodes to come back, in ms: less
 * than a joining node waits for an answer. It tries again soon.
 */
const MAX_JOIN_WAIT_MS = 4_000;

/** The node has no pool in the registry's own store. */
export const NO_POOL: PoolState = { version: null, isHolding: false };

/** The removal of a node; the registry itself knows whether it is alive. */
export type NodeRemoval = Omit<RemovalRequest, "isAlive">;

export interface NodesOptions {
  /** This agent's node, alive as long as the agent answers; undefined: it joins as all others do. */
  readonly self: string | undefined;
  /** This agent's node, however it joins: the registry never removes it for its silence. */
  readonly ownNode: string;
  readonly liveness: Liveness;
  /** Ms since some moment. */
  readonly uptimeMs: () => number;
  /** Called when a node knows a later revision than the registry's. */
  readonly onBehind?: (known: number, current: number) => Promise<void>;
  /** Finds out whether another agent has begun the grace period. Default: no other agent can. */
  readonly followGrace?: () => Promise<void>;
  /** The rest of the grace period after a restore. Default: none. */
  readonly restoreGrace?: () => RestoreGraceTime | undefined;
  /** The nodes that have to come back before others get subnets. Default: none. */
  readonly returning?: ReturningNodes;
  /** The trust by which nodes verify each other; undefined for none. */
  readonly trust?: () => Trust | undefined;
}

/** The nodes of the cluster: joins, removals, heartbeats, and the feed of changes. */
export class Nodes {
  readonly #ledger: ClusterLedger;
  readonly #options: NodesOptions;
  readonly #liveness: Liveness;
  readonly #feed: ClusterFeed;
  readonly #processes: Processes;
  /** The nodes whose joins are refused. */
  readonly refusals: Refusals;
  /** The problems with the identities of nodes. */
  readonly problems: NodeProblems;
  /** The state of each node that watchers know. */
  readonly #told = new Map<string, ClusterNode["state"]>();

  constructor(ledger: ClusterLedger, options: NodesOptions) {
    this.#ledger = ledger;
    this.#options = options;
    this.#liveness = options.liveness;
    const { uptimeMs } = options;
    this.#processes = new Processes({
      uptimeMs,
      onProblem: (node) => this.problems.report(node),
    });
    this.problems = new NodeProblems({
      ...{ processes: this.#processes, uptimeMs },
      onChanged: (node) => this.#feed.nodeChanged(node),
    });
    this.refusals = new Refusals(options.uptimeMs);
    this.#feed = new ClusterFeed({
      snapshot: (then) =>
        this.#ledger.read((state) => then(this.#snapshot(state))),
      changes: (changed) =>
        this.#ledger.read((state) => this.#changes(state, changed)),
    });
  }

  /** Tells watchers that another agent reported a node alive or silent. */
  onLivenessChanged(node: string): void {
    this.#feed.nodeChanged(node);
  }

  /** Tells watchers that what nodes verify each other with has changed. */
  onTrustChanged(): void {
    this.#feed.trustChanged();
  }

  /** Records the process of a node whose heartbeat another agent received. */
  onProcess(node: string, processId: string): void {
    this.#processes.record(node, processId, 0, true);
  }

  /** Makes every watcher restart from a snapshot: changes were missed. */
  onGap(): void {
    this.#feed.reset();
  }

  /** Tells watchers what a commit changed. */
  onCommitted(changes: readonly RegistryChange[]): void {
    for (const change of changes) {
      if (change.kind === "node") this.#feed.nodeChanged(change.name);
      if (change.kind === "route") {
        this.#feed.routeChanged(formatPrefix(change.destination));
      }
    }
  }

  /**
   * Returns if no other host has the name of a node that joins.
   *
   * @throws {NetError} `already_exists`
   */
  async checkInstance(
    agent: Pick<JoinRequest, "node" | "instanceId">,
  ): Promise<void> {
    const refusal = await this.#ledger.read((state) =>
      refuseOtherHost(state.nodes.get(agent.node), agent)
    );
    if (!refusal) return;
    this.#processes.recordStranger(agent.node);
    throw new NetError(refusal.code, refusal.message);
  }

  /**
   * Records a node and gives it one subnet of each network, or those that it
   * has. From then on its own agent hands out its addresses.
   *
   * @param pool the node's addresses in the registry's store
   * @throws {NetError} `already_exists` when another host has its name,
   * `failed_precondition` when it is fenced, `exhausted` when no subnet is left
   * or the guard refuses,
   * `unavailable` when it has none and the registry is in its grace period, or
   * waits for other nodes to come back
   */
  async join(
    request: JoinRequest,
    { guard, ...pool }: PoolState & Guarded = NO_POOL,
  ): Promise<readonly Prefix[]> {
    const { node, instanceId, processId = "", revision = 0 } = request;
    const { marker } = request;
    let isLate = false;
    const { known, current } = await this.#ledger.read((state) => ({
      known: state.nodes.get(node),
      current: state.revision,
    }));
    const isOther = known !== undefined && known.instanceId !== "" &&
      known.instanceId !== instanceId;
    if (isOther) this.#processes.recordStranger(node);
    else isLate = this.#checkProcess(node, { processId, marker });
    if (revision > current) await this.#options.onBehind?.(revision, current);
    await this.#options.followGrace?.();
    let isNews = true;
    let atMs = 0;
    const submit = (refuseEarly: RefuseEarly) =>
      this.#ledger.submit<readonly Prefix[]>((state, nowMs) => {
        atMs = nowMs;
        const grace = this.#options.restoreGrace?.();
        const isInRestoreGrace = grace !== undefined;
        const joined = planJoin(state, request, { nowMs, isInRestoreGrace });
        if (joined.kind === "refused") return joined;
        const claim = {
          ...{ node, held: request.heldSubnets },
          subnets: joined.answer,
        };
        const refusal = grace
          ? refuseNewSubnets(state, claim, grace)
          : refuseEarly(state, claim);
        if (refusal) return refusal;
        const plan = guard ? guard(joined) : joined;
        if (plan.kind === "refused") return plan;
        isNews = plan.changes.length > 0;
        const change = endOfPool(node, { ...pool, subnets: plan.answer });
        return { ...plan, changes: [...plan.changes, ...change] };
      });
    const subnets = await this.#returning.submit(submit, {
      maxWaitMs: MAX_JOIN_WAIT_MS,
    }).catch((error) => {
      // Another host with its name is a problem of the node that is known.
      if (!isOther && isRefusal(error)) {
        const hasSubnets = request.heldSubnets.length > 0 &&
          error.details.reason !== "OTHER_CLUSTER";
        const why = error.message;
        this.refusals.record(node, { hasSubnets, why, nowMs: atMs });
      }
      throw error;
    });
    this.#returning.remove(node);
    if (!isLate) this.#recordHeartbeat(node, processId);
    if (isNews) {
      log.info("Node {node} joined with {subnets}", {
        node,
        subnets: subnets.map(formatPrefix).join(" and "),
      });
    }
    return subnets;
  }

  /**
   * Records a heartbeat.
   *
   * @param marker of the last answer to the process; 0: none
   * @returns the subnets of the node, and whether the heartbeat may be of a time
   * before its latest process came: it counts for nothing then
   * @throws {NetError} `not_found` when the node is not known,
   * `already_exists` when another host has its name, or another process its state
   */
  async heartbeat(
    node: string,
    instanceId: string,
    processId = "",
    marker = 0,
  ): Promise<
    { readonly subnets: readonly Prefix[]; readonly isLate: boolean }
  > {
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
    const isLate = this.#checkProcess(node, { processId, marker });
    if (!isLate) this.#recordHeartbeat(node, processId);
    return { subnets: known.subnets, isLate };
  }

  /** The marker for answers to a node's joins and heartbeats; 0: none. */
  markerOf(node: string): number {
    return this.#processes.markerOf(node);
  }

  /** Returns when {@linkcode Nodes.remove} would succeed, and throws what it would throw. */
  checkRemoval(request: NodeRemoval): Promise<void> {
    return this.#ledger.submit((state, nowMs) =>
      checkOnly(this.#planRemoval(state, request, nowMs))
    );
  }

  /**
   * Forgets a node and frees its subnets.
   *
   * @param pool the node's pool in the registry's store, which holds nothing
   * @throws {NetError} `not_found`, or `failed_precondition` when the node is
   * alive and the removal is not forced
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
    this.#told.delete(node);
    this.#processes.forget(node);
    this.refusals.forget(node);
    this.#returning.remove(node);
    log.info("Node {node} was removed", { node });
    return subnets;
  }

  /** The known nodes and those that are refused, by name. */
  async list(): Promise<ClusterNode[]> {
    return this.refusals.addTo(
      await this.#ledger.read((state) => this.#view(state.nodes.values())),
    );
  }

  /** The known nodes and the extra routes. */
  snapshot(): Promise<ClusterEvent> {
    return this.#ledger.read((state) => this.#snapshot(state));
  }

  /** Follows nodes and extra routes. */
  watch(signal: AbortSignal): AsyncIterable<ClusterEvent> {
    return this.#feed.watch(signal);
  }

  /** Counts the silence of all nodes from now on: no heartbeat could arrive until now. */
  restartSilence(): void {
    this.#liveness.restartSilence();
  }

  /**
   * Reports the nodes that have become unreachable.
   *
   * @returns the liveness of all nodes with an agent but this agent's own
   */
  async checkLiveness(): Promise<WatchedNode[]> {
    const names = await this.#ledger.read((state) =>
      [...state.nodes.values()]
        .filter((n) => n.instanceId !== "" && n.name !== this.#options.self)
        .map(({ name }) => name)
    );
    const liveness = this.#liveness;
    // Not before the state was read: that may have taken long.
    liveness.tick();
    for (const node of liveness.takeNewlySilent(names)) {
      log.warn("Node {node} is unreachable: its heartbeats have stopped", {
        node,
      });
      this.#feed.nodeChanged(node);
    }
    for (const name of names) this.#tell(name, this.#stateOfAgent(name));
    this.problems.endOld();
    return names.filter((name) => name !== this.#options.ownNode)
      .map((name) => ({
        name,
        isAlive: liveness.isAlive(name),
        silentMs: liveness.silentForMs(name),
      }));
  }

  #planRemoval(
    state: ClusterState,
    request: NodeRemoval,
    nowMs: number,
  ): ClusterPlan<readonly Prefix[]> {
    const isAlive = this.#stateOf(state.nodes.get(request.node)) === "ready";
    return planRemoval(state, { ...request, isAlive }, nowMs);
  }

  /** @throws {NetError} `already_exists` when it is the second process with the node's state */
  #checkProcess(
    node: string,
    { processId, marker }: {
      readonly processId: string;
      readonly marker: number | undefined;
    },
  ): boolean {
    const finding = this.#processes.record(node, processId, marker);
    if (finding !== "refused") return finding === "late";
    throw new NetError(
      "already_exists",
      `Cannot use the state of node "${node}" here: another process runs with it, so that one of them is a copy; ` +
        `on the copy, stop the agent, delete the state, and start it again with another --node`,
    );
  }

  get #returning(): ReturningNodes {
    return this.#options.returning ?? NO_RETURNING_NODES;
  }

  #recordHeartbeat(node: string, processId: string): void {
    this.refusals.forget(node);
    if (!this.#liveness.recordHeartbeat(node, processId)) return;
    log.info("Node {node} is reachable again", { node });
    this.#feed.nodeChanged(node);
  }

  #stateOf(node: NodeRecord | undefined): ClusterNode["state"] {
    if (!node || node.instanceId === "") return "no agent";
    return node.name === this.#options.self
      ? "ready"
      : this.#stateOfAgent(node.name);
  }

  #stateOfAgent(node: string): ClusterNode["state"] {
    return this.#liveness.isAlive(node) ? "ready" : "unreachable";
  }

  #view(nodes: Iterable<NodeRecord>): ClusterNode[] {
    return [...nodes]
      .map((node) => ({ node, problem: this.problems.of(node.name) }))
      .map(({ node, problem }): ClusterNode => ({
        name: node.name,
        subnets: node.subnets,
        advertised: node.advertised,
        apiUrl: node.apiUrl,
        state: this.#stateOf(node),
        joinedAtMs: node.joinedAtMs,
        seenAtMs: this.#liveness.seenAtMs(node.name),
        ...problem !== undefined && { problem },
      }))
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /**
   * Has all watchers told of a node's state if they know another one. A state
   * depends on the time: a snapshot may be made between a node's silence and the
   * report of it, and nothing reports that the node was back before.
   */
  #tell(node: string, state: ClusterNode["state"]): void {
    const told = this.#told.get(node);
    if (told === undefined) this.#told.set(node, state);
    else if (told !== state) this.#feed.nodeChanged(node);
  }

  #snapshot(state: ClusterState): ClusterEvent {
    for (const node of state.nodes.values()) {
      this.#tell(node.name, this.#stateOf(node));
    }
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

  #changes(state: ClusterState, changed: Changed): ClusterEvent {
    const nodes = [...changed.nodes];
    for (const name of nodes) {
      const node = state.nodes.get(name);
      if (node) this.#told.set(name, this.#stateOf(node));
      else this.#told.delete(name);
    }
    const routes = [...changed.routes];
    return {
      revision: state.revision,
      isSnapshot: false,
      nodes: this.#view(nodes.flatMap((n) => state.nodes.get(n) ?? [])),
      routes: routes.flatMap((r) => state.routes.get(r) ?? []),
      removedNodes: nodes.filter((n) => !state.nodes.has(n)),
      removedRoutes: routes.filter((r) => !state.routes.has(r)),
      ...(changed.trust ? this.#trustPart() : {}),
    };
  }

  #trustPart(): Pick<ClusterEvent, "trust"> {
    const trust = this.#options.trust?.();
    return trust?.authorities.length ? { trust } : {};
  }
}

/** Whether a join failed for good. */
function isRefusal(error: unknown): error is NetError {
  return error instanceof NetError &&
    (error.code === "already_exists" || error.code === "failed_precondition" ||
      error.details.reason === "OTHER_CLUSTER");
}

/** The change that ends a node's pool in the registry's store. */
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
