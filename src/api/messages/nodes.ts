import {
  create,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ClusterEvent, ClusterNode } from "../../registry/feed.ts";
import {
  NodeSchema,
  NodeState,
  RouteSchema,
  WatchResponseSchema,
} from "../../gen/stellar/net/v1/registry_pb.ts";
import { formatAddress } from "../../net/address.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { routeMessage } from "./addresses.ts";
import { fill, MAX_PAGE_BYTES } from "./pages.ts";
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

/** A part of an event. */
export interface WatchPart extends ClusterEvent {
  /** Whether more of the event follows. */
  readonly hasMore?: boolean;
}

/** Bytes of the nodes, and of the routes, in a part. The trust and what is gone need room too. */
const MAX_PART_BYTES = MAX_PAGE_BYTES / 3;
/** Nodes, and routes, that are gone in a part: each has up to 255 bytes. */
const MAX_REMOVED = 2_000;

const parted = new WeakMap<ClusterEvent, readonly WatchPart[]>();

/** The parts of an event, each below 4 MiB, made once for all watchers. The first has the trust. */
export function watchParts(event: ClusterEvent): readonly WatchPart[] {
  const known = parted.get(event);
  if (known) return known;
  const parts = [...cutEvent(event)];
  parted.set(event, parts);
  return parts;
}

function* cutEvent(event: ClusterEvent): Generator<WatchPart> {
  let part: WatchPart = event;
  let { nodes, routes, removedNodes, removedRoutes } = event;
  for (;;) {
    const counts = [
      fill(nodes, { schema: NodeSchema, message: nodeMessage }, MAX_PART_BYTES)
        .length,
      fill(
        routes,
        { schema: RouteSchema, message: routeMessage },
        MAX_PART_BYTES,
      ).length,
    ] as const;
    const hasMore = nodes.length > counts[0] || routes.length > counts[1] ||
      Math.max(removedNodes.length, removedRoutes.length) > MAX_REMOVED;
    if (!hasMore && part === event) {
      yield event;
      return;
    }
    yield {
      ...part,
      hasMore,
      nodes: nodes.slice(0, counts[0]),
      routes: routes.slice(0, counts[1]),
      removedNodes: removedNodes.slice(0, MAX_REMOVED),
      removedRoutes: removedRoutes.slice(0, MAX_REMOVED),
    };
    if (!hasMore) return;
    nodes = nodes.slice(counts[0]);
    routes = routes.slice(counts[1]);
    removedNodes = removedNodes.slice(MAX_REMOVED);
    removedRoutes = removedRoutes.slice(MAX_REMOVED);
    const { trust: _, ...rest } = event;
    part = rest;
  }
}

/** The message of a snapshot or a change, or of a part of one. */
export function watchMessage(
  event: WatchPart,
): MessageInitShape<typeof WatchResponseSchema> {
  return {
    revision: BigInt(event.revision),
    snapshot: event.isSnapshot,
    nodes: event.nodes.map(nodeMessage),
    routes: event.routes.map(routeMessage),
    removedNodes: [...event.removedNodes],
    removedRoutes: [...event.removedRoutes],
    ...(event.trust && { trust: trustMessage(event.trust) }),
    more: event.hasMore ?? false,
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
  event: WatchPart,
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
