import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import {
  NetworkSchema,
  NodeSchema,
  type RegistryService,
  RouteSchema,
  SubnetSchema,
} from "../../gen/stellar/net/v1/registry_pb.ts";
import type { Carve } from "../../net/carve.ts";
import {
  comparePrefixes,
  formatPrefix,
  parsePrefix,
} from "../../net/prefix.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import type { RouteRecord } from "../../registry/plan/cluster_state.ts";
import type { SubnetListing } from "../../registry/plan/subnet_listing.ts";
import {
  networkMessage,
  routeMessage,
  subnetMessage,
} from "../messages/addresses.ts";
import { nodeMessage } from "../messages/nodes.ts";
import { cutPage, type Page, type PageRequest } from "../messages/pages.ts";

/** The registry's lists as a joined agent knows them, for when the registry is
 * unreachable.
 */
export function createJoinedRegistry(
  { member }: Agent,
): Pick<
  ServiceImpl<typeof RegistryService>,
  "listNetworks" | "listNodes" | "listRoutes"
> {
  const asOf = () => ({ asOf: timestampFromMs(member.heardAtMs ?? 0) });
  return {
    listNetworks: (request) => ({
      ...networksPage(member.cluster?.networks ?? [], request),
      clusterId: member.cluster?.clusterId ?? "",
      ...asOf(),
    }),
    listNodes(request) {
      const nodes = [...member.view.nodes.values()]
        .sort((a, b) => a.name < b.name ? -1 : 1);
      return { ...nodesPage(nodes, request), ...asOf() };
    },
    listRoutes(request) {
      const routes = [...member.view.routes.values()]
        .sort((a, b) => comparePrefixes(a.destination, b.destination));
      return { ...routesPage(routes, request), ...asOf() };
    },
  };
}

/**
 * The registry in a shared store. While the store is out of reach, or the
 * registry moves to another one, the agent answers its lists with what it knows.
 */
export function withKnownLists(
  registry: ServiceImpl<typeof RegistryService>,
  agent: Agent,
): ServiceImpl<typeof RegistryService> {
  const known = createJoinedRegistry(agent);
  const orKnown = <Request, Answer>(
    ask: (
      request: Request,
      context: HandlerContext,
    ) => Answer | Promise<Answer>,
    recall: (
      request: Request,
      context: HandlerContext,
    ) => Answer | Promise<Answer>,
  ) =>
  async (request: Request, context: HandlerContext): Promise<Answer> => {
    try {
      return await ask(request, context);
    } catch (error) {
      const isLost = error instanceof NetError &&
        error.code === "unavailable" &&
        agent.member.link.state === "unreachable";
      if (!isLost) throw error;
      return await recall(request, context);
    }
  };
  return {
    ...registry,
    listNetworks: orKnown(registry.listNetworks, known.listNetworks),
    listNodes: orKnown(registry.listNodes, known.listNodes),
    listRoutes: orKnown(registry.listRoutes, known.listRoutes),
  };
}

/** A page of a list, as the answer of a call names it. */
type ListPage<Name extends string, S extends DescMessage> =
  & Omit<Page<unknown>, "page">
  & Readonly<Record<Name, MessageInitShape<S>[]>>;

/** A page of networks. */
export function networksPage(
  networks: readonly Carve[],
  request: PageRequest,
): ListPage<"networks", typeof NetworkSchema> {
  const { page, ...rest } = cutPage(networks, request, {
    schema: NetworkSchema,
    message: networkMessage,
    keyOf: ({ network }) => formatPrefix(network),
  });
  return { networks: page, ...rest };
}

/** A page of nodes, in order of name. */
export function nodesPage(
  nodes: readonly ClusterNode[],
  request: PageRequest,
): ListPage<"nodes", typeof NodeSchema> {
  const { page, ...rest } = cutPage(nodes, request, {
    schema: NodeSchema,
    message: nodeMessage,
    keyOf: ({ name }) => name,
    behind: (key) => {
      const last = parseNodeName(key);
      return ({ name }) => name > last;
    },
  });
  return { nodes: page, ...rest };
}

/** A page of extra routes, in order of destination. */
export function routesPage(
  routes: readonly RouteRecord[],
  request: PageRequest,
): ListPage<"routes", typeof RouteSchema> {
  const { page, ...rest } = cutPage(routes, request, {
    schema: RouteSchema,
    message: routeMessage,
    keyOf: ({ destination }) => formatPrefix(destination),
    behind: (key) => {
      const last = parsePrefix(key);
      return ({ destination }) => comparePrefixes(destination, last) > 0;
    },
  });
  return { routes: page, ...rest };
}

/** A page of subnets, in order of prefix. */
export function subnetsPage(
  subnets: readonly SubnetListing[],
  request: PageRequest,
): ListPage<"subnets", typeof SubnetSchema> {
  const { page, ...rest } = cutPage(subnets, request, {
    schema: SubnetSchema,
    message: subnetMessage,
    keyOf: ({ subnet }) => formatPrefix(subnet),
    behind: (key) => {
      const last = parsePrefix(key);
      return ({ subnet }) => comparePrefixes(subnet, last) > 0;
    },
  });
  return { subnets: page, ...rest };
}
