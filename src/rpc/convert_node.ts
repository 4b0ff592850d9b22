import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ClusterEvent, ClusterNode } from "../agent/cluster_view.ts";
import {
  type NodeSchema,
  NodeState,
  type WatchResponseSchema,
} from "../gen/stellar/net/v1/registry_pb.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { routeMessage } from "./convert.ts";

const NODE_STATES: Record<ClusterNode["state"], NodeState> = {
  ready: NodeState.READY,
  unreachable: NodeState.UNREACHABLE,
  "no agent": NodeState.NO_AGENT,
};

/** A message of a node. */
export function nodeMessage(
  node: ClusterNode,
): MessageInitShape<typeof NodeSchema> {
  return {
    name: node.name,
    subnets: node.subnets.map(formatPrefix),
    advertised: node.advertised.map(formatAddress),
    apiUrl: node.apiUrl,
    state: NODE_STATES[node.state],
    joinedAt: timestampFromMs(node.joinedAtMs),
    ...(node.seenAtMs !== undefined && {
      seenAt: timestampFromMs(node.seenAtMs),
    }),
  };
}

/** A message of a snapshot or a change. */
export function watchMessage(
  event: ClusterEvent,
): MessageInitShape<typeof WatchResponseSchema> {
  return {
    revision: BigInt(event.revision),
    snapshot: event.isSnapshot,
    nodes: event.nodes.map(nodeMessage),
    routes: event.routes.map(routeMessage),
    removedNodes: [...event.removedNodes],
    removedRoutes: [...event.removedRoutes],
  };
}
