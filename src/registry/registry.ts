import type { SubmitOptions } from "../ledger/ledger.ts";
import { NetError } from "../base/error.ts";
import { type Planned, type Refusal, refuse } from "../base/plan.ts";
import { type Address, formatAddress, hostOf } from "../net/address.ts";
import {
  comparePrefixes,
  containsAddress,
  formatPrefix,
  type Prefix,
} from "../net/prefix.ts";
import type { Version } from "../store/store.ts";
import type { Guarded } from "./change_limit.ts";
import type { ClusterLedger, RegistryChange } from "./cluster_model.ts";
import type { NodesView } from "../security/admission.ts";
import type { AgentIdentity } from "./peer.ts";
import type {
  Blocker,
  ClusterChange,
  ClusterConfig,
  ClusterState,
  NodeRecord,
  RouteRecord,
} from "./plan/cluster_state.ts";
import {
  planReserveForOwners,
  refuseNewSubnets,
  type RestoreGraceTime,
  type SubnetOwner,
} from "./plan/restore_grace.ts";
import {
  checkOnly,
  type ClusterPlan,
  type HostReport,
  planAddRoute,
  planClaim,
  planCreate,
  planDeleteRoute,
  planRelease,
  planReport,
  planReserve,
  planUnreserve,
} from "./plan/cluster_plan.ts";
import { listSubnets, type SubnetListing } from "./plan/subnet_listing.ts";
import {
  type ClaimWait,
  NO_RETURNING_NODES,
  type RefuseEarly,
  type ReturningNodes,
} from "./returning_nodes.ts";

/** Most subnets that one commit reserves for their owners: etcd takes 128 operations. */
const OWNERS_A_COMMIT = 64;

/** The condition of a release of a node's subnets: nothing is held on it. */
export interface ReleaseCondition {
  /** Number of allocations that the node has. */
  readonly held: number;
  /** Version of the node's pool for which that is true. */
  readonly version: Version | null;
}

/** Whether a change only tells what it would do. */
export type DryRun = Pick<SubmitOptions, "isDryRun">;

/** The reasons why a claim has to wait. */
export interface RegistryWaits {
  /** The rest of the grace period after a restore. Default: none. */
  readonly restoreGrace?: () => RestoreGraceTime | undefined;
  /** The nodes that have to come back first. Default: none. */
  readonly returning?: ReturningNodes;
}

/**
 * The cluster's single record of networks, nodes, subnets and extra routes.
 *
 * Every change is one atomic commit: concurrent claims never get one subnet.
 */
export class Registry {
  readonly #ledger: ClusterLedger;
  readonly #waits: RegistryWaits;

  constructor(ledger: ClusterLedger, waits: RegistryWaits = {}) {
    this.#ledger = ledger;
    this.#waits = waits;
  }

  /**
   * Creates the cluster, or checks that it has these networks.
   *
   * @throws {NetError} `failed_precondition` when it has others
   */
  create(wanted: ClusterConfig): Promise<ClusterConfig> {
    return this.#ledger.submit((state) => planCreate(state, wanted));
  }

  /** The cluster's configuration; undefined before it is created. */
  config(): Promise<ClusterConfig | undefined> {
    return this.#ledger.read((state) => state.config);
  }

  /**
   * Gives a node one subnet of each network, or those that it has.
   *
   * @throws {NetError} `exhausted` when a network has none left or the guard
   * refuses, `unavailable` during the grace period after a restore
   */
  claim(
    node: string,
    { guard, maxWaitMs, ...options }: DryRun & Guarded & ClaimWait = {},
  ): Promise<readonly Prefix[]> {
    const submit = (refuseEarly: RefuseEarly) =>
      this.#ledger.submit<readonly Prefix[]>(
        (state, nowMs) => {
          const claimed = this.#planClaim(state, { node, nowMs, refuseEarly });
          const plan = guard && !options.isDryRun ? guard(claimed) : claimed;
          return plan.kind === "refused" || plan.changes.length === 0
            ? plan
            : withChange(plan, {
              ...{ kind: "open pool", node },
              subnets: plan.answer,
            });
        },
        undefined,
        options,
      );
    return this.#returning.submit(submit, {
      ...maxWaitMs !== undefined && { maxWaitMs },
    });
  }

  /** Returns when {@linkcode claim} would succeed at once, and throws what it would throw. */
  checkClaim(node: string): Promise<void> {
    const submit = (refuseEarly: RefuseEarly) =>
      this.#ledger.submit((state, nowMs) =>
        checkOnly(this.#planClaim(state, { node, nowMs, refuseEarly }))
      );
    return this.#returning.submit(submit, { maxWaitMs: 0 });
  }

  /**
   * Takes a node's subnets back.
   *
   * @param owned `subnet`: one that the node has to own; undefined: any
   * @throws {NetError} `not_found` when it owns none or not this one,
   * `failed_precondition` while it holds addresses
   */
  release(
    owned: { readonly node: string; readonly subnet: Prefix | undefined },
    condition: ReleaseCondition,
    options: DryRun = {},
  ): Promise<readonly Prefix[]> {
    const { node, subnet } = owned;
    return this.#ledger.submit(
      (state, nowMs) => {
        const plan = planRelease(state, node, nowMs);
        if (plan.kind === "refused") return plan;
        const has = plan.answer.map(formatPrefix);
        if (subnet && !has.includes(formatPrefix(subnet))) {
          return refuse(
            "not_found",
            `subnet not found: node "${node}" owns ${has.join(" and ")}, not "${
              formatPrefix(subnet)
            }"`,
          );
        }
        if (condition.held > 0) {
          return refuse(
            "failed_precondition",
            `Cannot release ${
              has.join(" and ")
            } of node "${node}": ${condition.held} ${
              condition.held === 1 ? "address is" : "addresses are"
            } held; release ${condition.held === 1 ? "it" : "them"} first`,
          );
        }
        const { version } = condition;
        return withChange(plan, { kind: "close pool", node, version });
      },
      undefined,
      options,
    );
  }

  /** The record of a node; undefined when it is not known. */
  node(node: string): Promise<NodeRecord | undefined> {
    return this.#ledger.read((state) => state.nodes.get(node));
  }

  /** The nodes as they are now, for the certificate authority. */
  viewNodes(): Promise<NodesView> {
    return this.#ledger.read((state) => viewNodes([...state.nodes.values()]));
  }

  /** Whether a node runs an agent of its own. */
  hasAgent(node: string): Promise<boolean> {
    return this.#ledger.read((state) =>
      (state.nodes.get(node)?.instanceId ?? "") !== ""
    );
  }

  /**
   * Returns if an agent is that of its node.
   *
   * @throws {NetError} `failed_precondition` if not
   */
  async checkAgent({ node, instanceId }: AgentIdentity): Promise<void> {
    if ((await this.node(node))?.instanceId === instanceId) return;
    throw new NetError(
      "failed_precondition",
      `Cannot tell what belongs to node "${node}": this agent has not joined as it`,
    );
  }

  /** The subnets of a node; empty when it has none. */
  subnetsOf(node: string): Promise<readonly Prefix[]> {
    return this.#ledger.read((state) => state.nodes.get(node)?.subnets ?? []);
  }

  /** The node that owns a subnet; undefined: none. */
  ownerOf(subnet: Prefix): Promise<string | undefined> {
    return this.#ledger.read((state) => state.ownerOf(subnet));
  }

  /** All subnets that are not plainly free, in order of address. */
  subnets(): Promise<SubnetListing[]> {
    return this.#ledger.read(listSubnets);
  }

  /** Reserves a subnet for a node, or for nobody. */
  reserve(
    wanted: {
      readonly subnet: Prefix;
      /** Empty: for nobody. */
      readonly node: string;
      readonly reason: string;
    },
    options: DryRun = {},
  ): Promise<SubnetListing> {
    return this.#ledger.submit(
      (state, nowMs) => {
        const plan: ClusterPlan<Prefix> = planReserve(state, wanted, nowMs);
        return plan.kind === "refused" ? plan : {
          ...plan,
          answer: { ...wanted, state: "reserved" as const, sinceMs: nowMs },
        };
      },
      undefined,
      options,
    );
  }

  /** Ends a reservation. */
  unreserve(subnet: Prefix, options: DryRun = {}): Promise<void> {
    return this.#ledger.submit(
      (state) => planUnreserve(state, subnet),
      undefined,
      options,
    );
  }

  /** Reserves subnets for the nodes that had them: {@linkcode planReserveForOwners}. */
  async reserveForOwners(
    by: string,
    owners: readonly SubnetOwner[],
    { guard }: Guarded = {},
  ): Promise<void> {
    for (let at = 0; at < owners.length; at += OWNERS_A_COMMIT) {
      const some = owners.slice(at, at + OWNERS_A_COMMIT);
      await this.#ledger.submit((state, nowMs) => {
        const plan = planReserveForOwners(state, some, { by, nowMs });
        return guard ? guard(plan) : plan;
      });
    }
  }

  /** The nodes whose prefixes overlap much of a network. */
  blockers(): Promise<Blocker[]> {
    return this.#ledger.read((state) => [...state.blockers()]);
  }

  /** Records what this agent's own node reports of its host. */
  report(report: HostReport): Promise<void> {
    return this.#ledger.submit((state, nowMs) =>
      planReport(state, report, nowMs)
    );
  }

  /** The extra routes in order of destination. */
  routes(): Promise<RouteRecord[]> {
    return this.#ledger.read((state) =>
      [...state.routes.values()]
        .sort((a, b) => comparePrefixes(a.destination, b.destination))
    );
  }

  /** Adds an extra route. The same again succeeds. */
  addRoute(
    route: { readonly destination: Prefix; readonly target: Address },
    options: DryRun = {},
  ): Promise<RouteRecord> {
    return this.#ledger.submit(
      (state, nowMs) => planAddRoute(state, route, nowMs),
      undefined,
      options,
    );
  }

  /** Removes an extra route. @returns whether there was one */
  deleteRoute(
    route: {
      readonly destination: Prefix;
      readonly target: Address | undefined;
    },
    options: DryRun = {},
  ): Promise<boolean> {
    return this.#ledger.submit(
      (state) => planDeleteRoute(state, route),
      undefined,
      options,
    );
  }

  #planClaim(
    state: ClusterState,
    { node, nowMs, refuseEarly }: {
      readonly node: string;
      readonly nowMs: number;
      readonly refuseEarly: RefuseEarly;
    },
  ): ClusterPlan<readonly Prefix[]> {
    const plan = planClaim(state, node, nowMs);
    if (plan.kind === "refused") return plan;
    const grace = this.#waits.restoreGrace?.();
    const claim = { node, held: [], subnets: plan.answer };
    const refusal = grace
      ? refuseNewSubnets(state, claim, grace)
      : refuseEarly(state, claim);
    return refusal ?? plan;
  }

  get #returning(): ReturningNodes {
    return this.#waits.returning ?? NO_RETURNING_NODES;
  }
}

function withChange<T>(
  plan: Planned<T, ClusterChange>,
  change: RegistryChange,
): Planned<T, RegistryChange> | Refusal {
  return { ...plan, changes: [...plan.changes, change] };
}

function viewNodes(nodes: readonly NodeRecord[]): NodesView {
  return {
    has: (name) => nodes.some((node) => node.name === name),
    alike(name) {
      const wanted = name.toLowerCase();
      return nodes.find((node) => node.name === name)?.name ??
        nodes.find((node) => node.name.toLowerCase() === wanted)?.name;
    },
    reachedAt(address, except) {
      const text = formatAddress(address);
      return nodes.find((node) =>
        node.name !== except &&
        (node.advertised.some((own) => formatAddress(own) === text) ||
          node.apiUrl !== "" && hostOf(node.apiUrl) === text)
      )?.name;
    },
    subnetOwner: (address) =>
      nodes.find(({ subnets }) =>
        subnets.some((subnet) => containsAddress(subnet, address))
      )?.name,
  };
}
