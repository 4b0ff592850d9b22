import {
  create,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ClusterEvent, ClusterNode } from "../../registry/feed.ts";
import {
  type NodeSchema,
  NodeState,
  WatchResponseSchema,
} from "../../gen/stellar/net/v1/registry_pb.ts";
import { formatAddress } from "../../net/address.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { routeMessage } from "./addresses.ts";
import { trustMessage } from "./identity.ts";

const NODE_STATES: Record<ClusterNode["state"], NodeState> = {
  ready: NodeState.READY,
  unreachable: NodeState.UNREACHABLE,
  "no agent": NodeState.NO_AGENT,
};

export function nodeMessage(
  node: ClusterNode,
): MessageInitShape<typeof NodeSchema> {
  return {
    name: node.name,
    subnets: node.subnets.map(formatPrefix),
    advertised: node.advertised.map(formatAddress),
    apiUrl: node.apiUrl,
    state: NODE_STATES[node.state],
    ...(node.joinedAtMs > 0 && {
      joinedAt: timestampFromMs(node.joinedAtMs),
    }),
    ...(node.seenAtMs !== undefined && {
      seenAt: timestampFromMs(node.seenAtMs),
    }),
    problem: node.problem ?? "",
  };
}

/** The message of a snapshot or a change. */
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
    ...(event.trust && { trust: trustMessage(event.trust) }),
  };
}

const encoded = new WeakMap<
  ClusterEvent,
  MessageShape<typeof WatchResponseSchema>
>();

/** The same, encoded once for all watchers: one unknown field carries the bytes,
 * and the library writes it as it is. For binary messages only.
 */
export function encodedWatchMessage(
  event: ClusterEvent,
): MessageShape<typeof WatchResponseSchema> {
  const known = encoded.get(event);
  if (known) return known;
  const message = create(WatchResponseSchema);
  const bytes = toBinary(
    WatchResponseSchema,
    create(WatchResponseSchema, watchMessage(event)),
  );
  // Tags of fields below 16 are one byte: number and wire type.
  const [tag] = bytes;
  if (tag !== undefined) {
    const data = bytes.subarray(1);
    message.$unknown = [{ no: tag >> 3, wireType: tag & 7, data }];
  }
  encoded.set(event, message);
  return message;
}
