import { NetError } from "../base/error.ts";
import { formatPrefix, overlaps, type Prefix } from "../net/prefix.ts";
import { createNode } from "../registry/plan/cluster_plan.ts";
import type {
  ClusterChange,
  ClusterConfig,
} from "../registry/plan/cluster_state.ts";
import type { ClusterView } from "../registry/feed.ts";
import type { RebuildConflict, RebuildSummary } from "./port.ts";

/** A member's view of the cluster whose registry was lost. */
export interface MemberReport {
  readonly node: string;
  /** Random id of its state. */
  readonly instanceId: string;
  readonly config: ClusterConfig;
  /** Its snapshot of the cluster. */
  readonly view: ClusterView;
  /** The subnets from which it gives out addresses. */
  readonly held: readonly Prefix[];
}

/** A registry that can be rebuilt. */
export interface RebuildPlan {
  readonly config: ClusterConfig;
  /** The last revision of the lost registry that any member knows. */
  readonly revision: number;
  readonly changes: readonly ClusterChange[];
  readonly summary: Omit<RebuildSummary, "store">;
}

interface Claim {
  readonly node: string;
  readonly subnet: Prefix;
  /** The member that reports it. */
  readonly by: string;
}

/**
 * Plans the registry that members of a lost one know together.
 *
 * The newest snapshot decides, because each snapshot is of the whole cluster. A
 * subnet that a member holds and that the newest snapshot takes for free is
 * that member's. Claims of one subnet for different nodes are conflicts; the
 * claim of the newer snapshot stands.
 *
 * @param own name of the member whose state becomes the registry's; its node
 * keeps its record. Undefined: a new state, and all subnets are reserved
 * @throws {NetError} `failed_precondition` when the reports are of different
 * clusters, or two are of one member
 */
export function planRebuild(
  reports: readonly MemberReport[],
  { own, nowMs }: { readonly own: string | undefined; readonly nowMs: number },
): RebuildPlan {
  refuseMixed(reports);
  const byAge = reports.toSorted((a, b) => b.view.revision - a.view.revision);
  const { config, view } = byAge[0]!;
  const { claims, conflicts } = settle(byAge);
  const names = new Set([...view.nodes.keys(), ...claims.map((c) => c.node)]);
  const nodes = [...names].map((name) => ({
    name,
    subnets: claims.filter(({ node }) => node === name)
      .map(({ subnet }) => subnet),
    hasAgent: view.nodes.get(name)?.state !== "no agent",
  }));
  const changes = claims.map(({ node, subnet }): ClusterChange => ({
    kind: "subnet",
    subnet,
    record: node === own ? { state: "owned", node, sinceMs: nowMs } : {
      ...{ state: "reserved", node, sinceMs: nowMs },
      reason: `${node} had it in the registry that was lost`,
    },
  }));
  const report = reports.find(({ node }) => node === own);
  if (report) {
    const { advertised, apiUrl, joinedAtMs } = report.view.nodes.get(
      report.node,
    )!;
    changes.push({
      kind: "node",
      name: report.node,
      record: {
        ...createNode(report.node, joinedAtMs),
        ...{ instanceId: report.instanceId, advertised, apiUrl },
        subnets: nodes.find(({ name }) => name === report.node)!.subnets,
      },
    });
  }
  for (const record of view.routes.values()) {
    changes.push({ kind: "route", destination: record.destination, record });
  }
  const { revision } = view;
  const summary: RebuildPlan["summary"] = {
    ...{ clusterId: config.clusterId, node: own ?? "", revision, nodes },
    ...{ routes: view.routes.size, conflicts },
    reports: byAge.map(({ node, view }) => ({ node, revision: view.revision })),
  };
  return { config, revision, changes, summary };
}

/** Finds the owner of each subnet. @param reports the newest first */
function settle(reports: readonly MemberReport[]): {
  readonly claims: readonly Claim[];
  readonly conflicts: readonly RebuildConflict[];
} {
  const claims: Claim[] = [];
  const conflicts = new Map<string, RebuildConflict>();
  const compare = (claim: Claim, isNew: boolean) => {
    const { node, subnet, by } = claim;
    const against = claims.filter((c) => overlaps(c.subnet, subnet));
    if (against.length === 0 && isNew) claims.push(claim);
    for (const kept of against) {
      const isSame = kept.node === node &&
        formatPrefix(kept.subnet) === formatPrefix(subnet);
      if (isSame) continue;
      const found = { subnet, kept: kept.node, keptBy: kept.by, node, by };
      conflicts.set(`${formatPrefix(subnet)} ${node}`, found);
    }
  };
  reports.forEach(({ node: by, view }, index) => {
    for (const { name, subnets } of view.nodes.values()) {
      // A node that only an older snapshot has was removed.
      for (const subnet of subnets) {
        compare({ node: name, subnet, by }, index === 0);
      }
    }
  });
  for (const { node, held } of reports) {
    for (const subnet of held) compare({ node, subnet, by: node }, true);
  }
  return { claims, conflicts: [...conflicts.values()] };
}

function refuseMixed(reports: readonly MemberReport[]): void {
  const [first] = reports;
  const seen = new Set<string>();
  for (const { node, config } of reports) {
    if (config.clusterId !== first!.config.clusterId) {
      throw refuseRebuild(
        `${first!.node} is of cluster ${
          first!.config.clusterId
        }, and ${node} of ${config.clusterId}; give reports of one cluster`,
      );
    }
    if (seen.has(node)) {
      throw refuseRebuild(
        `there are two reports of ${node}; give only the newest`,
      );
    }
    seen.add(node);
  }
}

/** The error of a registry that cannot be rebuilt. */
export function refuseRebuild(problem: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot rebuild the registry: ${problem}`,
  );
}
