import { formatShare } from "../../base/share.ts";
import type { AgentClients, HostSummary } from "../framework/client.ts";
import { readPages } from "../framework/list.ts";
import { type View, viewOf } from "../framework/view.ts";

/** A host's account of itself, as `--json` prints it. */
export type HostReport = NonNullable<View<HostSummary>["report"]>;

/** The hosts of the cluster with their last reports, by name. */
export async function readHosts(
  { cluster }: AgentClients,
): Promise<Map<string, View<HostSummary>>> {
  const hosts = await readPages(async (pageToken) => {
    const page = await cluster.getOverview({ pageToken });
    return [page.hosts.map(viewOf), page.nextPageToken];
  });
  return new Map(hosts.map((host) => [host.node?.name ?? "", host]));
}

/** The share of a host's addresses that are held; empty without a subnet. */
export function formatUsed({ subnets }: HostReport): string {
  const held = subnets.reduce((sum, { held }) => sum + held, 0);
  const capacity = subnets.reduce((sum, { capacity }) => sum + capacity, 0);
  return formatShare(held, capacity);
}

/** The routes that a host's kernel has, of those that it should have. */
export function formatRoutes(report: HostReport): string {
  return `${report.routesInstalled}/${report.routesWanted}`;
}
