import { hostOf } from "../net/host.ts";
import type { SubnetUsage } from "../addresses/allocator.ts";
import { NetError } from "../base/error.ts";
import { type Planned, type Refusal, refuse } from "../base/plan.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { comparePrefixes, formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Version } from "../store/store.ts";
import type { ClusterLedger, RegistryChange } from "./cluster_model.ts";
import { listSubnets, type SubnetListing } from "./plan/subnet_listing.ts";
import {
  type ClusterPlan,
  type HostReport,
  planClaim,
  planCreate,
  planRelease,
  planReport,
  planReserve,
  planUnreserve,
} from "./plan/subnet_plan.ts";
import { planAddRoute, planDeleteRoute } from "./plan/route_plan.ts";
import {
  planOwners,
  refuseNewSubnets,
  type Settling,
  type SubnetOwner,
} from "./plan/restore_grace.ts";
import type {
  ClusterChange,
  ClusterConfig,
  ClusterState,
  NodeRecord,
  RouteRecord,
} from "./plan/cluster_state.ts";

/** Why a node has no address to give: all are held. */
export function exhausted({ capacity, subnet }: SubnetUsage): NetError {
  return new NetError(
    "exhausted",
    `IP allocation exhausted: all ${capacity} addresses of ${
      formatPrefix(subnet)
    } are held`,
  );
}

/** Why a node does not leave unless it is forced: its containers are there. */
export function stillHeld(node: string, held: number): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot leave: ${held} ${
      held === 1 ? "address is" : "addresses are"
    } held on node "${node}"; stop its containers first, or force it`,
  );
}

/** Why nothing is released on a node yet: the registry may hold addresses for it. */
export function notJoined(node: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot release: node "${node}" has not joined yet, so what it holds is not known; try again`,
  );
}

/** Why a node gives no addresses: it has left. */
export function hasLeft(node: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot hand out addresses: node "${node}" has left the cluster; start its agent again to come back`,
  );
}

/** Why a node gives no addresses: the registry refuses it. */
export function isFenced(node: string, problem: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot hand out addresses: node "${node}" is fenced: ${problem}`,
  );
}

/** Why a node gives no addresses: it has not joined yet. */
export function hasNoSubnet(node: string, problem: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot hand out addresses: node "${node}" has no subnet before it has joined, and the registry cannot be reached: ${problem}`,
  );
}

/** What the release of a node's subnets is bound to: nothing is held on it. */
export interface ReleaseCondition {
  /** How many allocations the node has. */
  readonly held: number;
  /** Version of the node's pool for which that is true. */
  readonly version: Version | null;
}

/**
 * The cluster's one record of networks, nodes, subnets and extra routes.
 *
 * Every change is one atomic commit: two claims at once never get one subnet.
 */
export class Registry {
  readonly #ledger: ClusterLedger;
  readonly #settling: () => Settling | undefined;

  /** @param settling how it stands after a restore */
  constructor(
    ledger: ClusterLedger,
    settling: () => Settling | undefined = () => undefined,
  ) {
    this.#ledger = ledger;
    this.#settling = settling;
  }

  /**
   * Creates the cluster, or checks that it has these networks.
   *
   * @throws {NetError} `failed_precondition` when it has others
   */
  create(wanted: ClusterConfig): Promise<ClusterConfig> {
    return this.#ledger.submit((state) => planCreate(state, wanted));
  }

  /** What the cluster was created with, undefined when it was not yet. */
  config(): Promise<ClusterConfig | undefined> {
    return this.#ledger.read((state) => state.config);
  }

  /**
   * Gives a node one subnet of each network, or those that it has.
   *
   * @throws {NetError} `exhausted` when a network has none left, `unavailable`
   * while the registry is settling
   */
  claim(node: string): Promise<readonly Prefix[]> {
    return this.#ledger.submit((state, nowMs) => {
      const plan = this.#planClaim(state, node, nowMs);
      return plan.kind === "refused" || plan.changes.length === 0
        ? plan
        : withChange(plan, { kind: "open pool", node, subnets: plan.answer });
    });
  }

  /** Returns when {@linkcode claim} would succeed, and throws what it would throw. */
  checkClaim(node: string): Promise<void> {
    return this.#ledger.submit((state, nowMs) => {
      const plan = this.#planClaim(state, node, nowMs);
      return plan.kind === "refused"
        ? plan
        : { kind: "planned", answer: undefined, changes: [] };
    });
  }

  /**
   * Takes a node's subnets back.
   *
   * @param subnet one that the node has to own; undefined for whichever it owns
   * @throws {NetError} `not_found` when it owns none or not this one,
   * `failed_precondition` while it holds addresses
   */
  release(
    owned: { readonly node: string; readonly subnet: Prefix | undefined },
    condition: ReleaseCondition,
  ): Promise<readonly Prefix[]> {
    const { node, subnet } = owned;
    return this.#ledger.submit((state, nowMs) => {
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
    });
  }

  /** What is known of a node, undefined when nothing is. */
  node(node: string): Promise<NodeRecord | undefined> {
    return this.#ledger.read((state) => state.nodes.get(node));
  }

  /** The node whose name differs from another at most in case, undefined when there is none. */
  alike(name: string): Promise<string | undefined> {
    const wanted = name.toLowerCase();
    return this.#ledger.read((state) =>
      state.nodes.has(name)
        ? name
        : state.nodes.keys().find((known) => known.toLowerCase() === wanted)
    );
  }

  /**
   * The node that is reached at an address: it advertises it, or its API is
   * there. Undefined when none is.
   *
   * @param except a node that is left out
   */
  reachedAt(address: Address, except: string): Promise<string | undefined> {
    const text = formatAddress(address);
    return this.#ledger.read((state) =>
      [...state.nodes.values()].find((node) =>
        node.name !== except &&
        (node.advertised.some((own) => formatAddress(own) === text) ||
          node.apiUrl !== "" && hostOf(node.apiUrl) === text)
      )?.name
    );
  }

  /** Whether a node runs an agent of its own. */
  hasAgent(node: string): Promise<boolean> {
    return this.#ledger.read((state) =>
      (state.nodes.get(node)?.instanceId ?? "") !== ""
    );
  }

  /**
   * Returns when an agent is that of a node.
   *
   * @throws {NetError} `failed_precondition` when it is not
   */
  async checkAgent(
    agent: { readonly node: string; readonly instanceId: string },
  ): Promise<void> {
    const { node, instanceId } = agent;
    if ((await this.node(node))?.instanceId === instanceId) return;
    throw new NetError(
      "failed_precondition",
      `Cannot tell what belongs to node "${node}": this agent has not joined as it`,
    );
  }

  /** The subnets of a node, empty when it has none. */
  subnetsOf(node: string): Promise<readonly Prefix[]> {
    return this.#ledger.read((state) => state.nodes.get(node)?.subnets ?? []);
  }

  /** The node that owns a subnet, undefined when none does. */
  ownerOf(subnet: Prefix): Promise<string | undefined> {
    return this.#ledger.read((state) => {
      const place = state.locate(subnet);
      const record = place?.slices.get(place.index);
      return record?.state === "owned" ? record.node : undefined;
    });
  }

  /** All subnets that are not plainly free, in order of address. */
  subnets(): Promise<SubnetListing[]> {
    return this.#ledger.read(listSubnets);
  }

  /** Keeps a subnet from being handed out, or keeps it for one node. */
  reserve(
    wanted: {
      readonly subnet: Prefix;
      readonly node: string;
      readonly reason: string;
    },
  ): Promise<SubnetListing> {
    return this.#ledger.submit((state, nowMs) => {
      const plan: ClusterPlan<Prefix> = planReserve(state, wanted, nowMs);
      return plan.kind === "refused" ? plan : {
        ...plan,
        answer: { ...wanted, state: "reserved" as const, sinceMs: nowMs },
      };
    });
  }

  /** Ends a reservation. */
  unreserve(subnet: Prefix): Promise<void> {
    return this.#ledger.submit((state) => planUnreserve(state, subnet));
  }

  /** Keeps the subnets that are taken for free for those who had them: {@linkcode planOwners}. */
  keepForOwners(by: string, owners: readonly SubnetOwner[]): Promise<void> {
    return this.#ledger.submit((state, nowMs) =>
      planOwners(state, owners, { by, nowMs })
    );
  }

  /** Takes in what the node of this agent says of its host. */
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
  ): Promise<RouteRecord> {
    return this.#ledger.submit((state, nowMs) =>
      planAddRoute(state, route, nowMs)
    );
  }

  /** Removes an extra route. Removing what is not there succeeds. */
  deleteRoute(
    route: {
      readonly destination: Prefix;
      readonly target: Address | undefined;
    },
  ): Promise<void> {
    return this.#ledger.submit((state) => planDeleteRoute(state, route));
  }

  #planClaim(
    state: ClusterState,
    node: string,
    nowMs: number,
  ): ClusterPlan<readonly Prefix[]> {
    const plan = planClaim(state, node, nowMs);
    const settling = this.#settling();
    if (plan.kind === "refused" || !settling) return plan;
    const claim = { node, held: [], subnets: plan.answer };
    return refuseNewSubnets(state, claim, settling) ?? plan;
  }
}

function withChange<T>(
  plan: Planned<T, ClusterChange>,
  change: RegistryChange,
): Planned<T, RegistryChange> | Refusal {
  return { ...plan, changes: [...plan.changes, change] };
}
