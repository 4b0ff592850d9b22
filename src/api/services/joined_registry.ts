import type { ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { comparePrefixes } from "../../net/prefix.ts";
import { networkMessage, routeMessage } from "../messages/addresses.ts";
import { nodeMessage } from "../messages/nodes.ts";

/**
 * What an agent that has joined answers of the registry's service when the
 * registry is out of reach: what it knows of the cluster.
 */
export function createJoinedRegistry(
  { member }: Agent,
): Pick<
  ServiceImpl<typeof RegistryService>,
  "listNetworks" | "listNodes" | "listRoutes"
> {
  return {
    listNetworks: () => ({
      networks: (member.cluster?.networks ?? []).map(networkMessage),
      clusterId: member.cluster?.clusterId ?? "",
    }),
    listNodes: () => ({
      nodes: [...member.view.nodes.values()]
        .sort((a, b) => a.name < b.name ? -1 : 1)
        .map(nodeMessage),
    }),
    listRoutes: () => ({
      routes: [...member.view.routes.values()]
        .sort((a, b) => comparePrefixes(a.destination, b.destination))
        .map(routeMessage),
    }),
  };
}
