import { listSubnets } from "../../../src/registry/plan/subnet_listing.ts";
import {
  type ClusterPlan,
  planAddRoute,
  planClaim,
  planDeleteRoute,
  planRelease,
  planReport,
  planReserve,
  planUnreserve,
} from "../../../src/registry/plan/cluster_plan.ts";
import { planJoin, planRemoval } from "../../../src/registry/plan/join_plan.ts";
import {
  ClusterState,
  type LocalPrefix,
} from "../../../src/registry/plan/cluster_state.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { createCarve } from "../../../src/net/carve.ts";
import { formatPrefix, parsePrefix } from "../../../src/net/prefix.ts";

/** What a host tells when it joins; prefixes with their interface, such as `172.17.0.0/16 docker0`. */
export interface JoinOptions {
  readonly instanceId?: string;
  readonly advertised?: readonly string[];
  readonly apiUrl?: string;
  readonly prefixes?: readonly string[];
  readonly held?: readonly string[];
  /** Id of the cluster that it has joined before. Default: none. */
  readonly clusterId?: string;
}

/** A cluster as a caller sees it: texts in, texts out; each call is a millisecond later. */
export class Cluster {
  readonly state = new ClusterState();
  isInRestoreGrace = false;
  #nowMs = 0;

  constructor(...networks: (string | [string, number])[]) {
    this.state.apply({
      kind: "config",
      config: {
        clusterId: "test",
        networks: networks.map((network) =>
          typeof network === "string"
            ? createCarve(parsePrefix(network))
            : createCarve(parsePrefix(network[0]), network[1])
        ),
        createdAtMs: 0,
      },
    });
  }

  claim(node: string): string {
    return this.#run(
      planClaim(this.state, node, ++this.#nowMs),
      (subnets) => subnets.map(formatPrefix).join(" "),
    );
  }

  /** Joins as a host whose state's id is `id of NODE`, if nothing else is said. */
  join(node: string, options: JoinOptions = {}): string {
    const request = {
      node,
      instanceId: options.instanceId ?? `id of ${node}`,
      advertised: (options.advertised ?? []).map(parseAddress),
      apiUrl: options.apiUrl ?? "",
      localPrefixes: (options.prefixes ?? []).map(parseLocalPrefix),
      heldSubnets: (options.held ?? []).map((cidr) => parsePrefix(cidr)),
      clusterId: options.clusterId ?? "",
    };
    return this.#run(
      planJoin(this.state, request, {
        nowMs: ++this.#nowMs,
        isInRestoreGrace: this.isInRestoreGrace,
      }),
      (subnets) => subnets.map(formatPrefix).join(" "),
    );
  }

  remove(
    node: string,
    options: { instanceId?: string; isAlive?: boolean; force?: boolean } = {},
  ): string {
    const { instanceId = "", isAlive = false, force = false } = options;
    const request = { node, instanceId, isAlive, force };
    return this.#run(
      planRemoval(this.state, request, ++this.#nowMs),
      (subnets) => subnets.map(formatPrefix).join(" "),
    );
  }

  release(node: string): string {
    return this.#run(
      planRelease(this.state, node, ++this.#nowMs),
      (subnets) => subnets.map(formatPrefix).join(" "),
    );
  }

  reserve(cidr: string, node = "", reason = ""): string {
    const wanted = { subnet: parsePrefix(cidr), node, reason };
    return this.#run(
      planReserve(this.state, wanted, ++this.#nowMs),
      formatPrefix,
    );
  }

  unreserve(cidr: string): string {
    return this.#run(planUnreserve(this.state, parsePrefix(cidr)), () => "ok");
  }

  /** Prefixes with their interface, such as `172.17.0.0/16 docker0`. */
  report(node: string, ...prefixes: string[]): string {
    const report = {
      node,
      instanceId: `id of ${node}`,
      advertised: [],
      apiUrl: "",
      localPrefixes: prefixes.map(parseLocalPrefix),
    };
    return this.#run(planReport(this.state, report, ++this.#nowMs), () => "ok");
  }

  addRoute(cidr: string, target: string): string {
    const route = {
      destination: parsePrefix(cidr),
      target: parseAddress(target),
    };
    return this.#run(
      planAddRoute(this.state, route, ++this.#nowMs),
      () => "ok",
    );
  }

  deleteRoute(cidr: string, target?: string): string {
    const route = {
      destination: parsePrefix(cidr),
      target: target === undefined ? undefined : parseAddress(target),
    };
    return this.#run(planDeleteRoute(this.state, route), () => "ok");
  }

  /** The list of subnets, a text a line. */
  list(): string[] {
    return listSubnets(this.state).map((l) =>
      [formatPrefix(l.subnet), l.state, l.node, l.reason].filter(Boolean).join(
        " ",
      )
    );
  }

  #run<T>(plan: ClusterPlan<T>, format: (answer: T) => string): string {
    if (plan.kind === "refused") return `${plan.code}: ${plan.message}`;
    for (const change of plan.changes) this.state.apply(change);
    return format(plan.answer);
  }
}

function parseLocalPrefix(text: string): LocalPrefix {
  const [cidr, device] = text.split(" ");
  return { prefix: parsePrefix(cidr!), device: device! };
}
