import type { ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { parseNodeName, parseText } from "../../names.ts";
import { parseAddress } from "../../net/address.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../../net/prefix.ts";
import { networkMessage, routeMessage, subnetMessage } from "../convert.ts";
import { parseField, parseOptional } from "../fields.ts";

/** The native service of networks, subnets and extra routes. */
export function createRegistry(
  agent: Agent,
): ServiceImpl<typeof RegistryService> {
  const { registry } = agent;
  /** The listed lines of some subnets, in the order given. */
  const describe = async (subnets: readonly Prefix[]) => {
    const lines = new Map(
      (await registry.subnets()).map((l) => [formatPrefix(l.subnet), l]),
    );
    return subnets.map((s) => subnetMessage(lines.get(formatPrefix(s))!));
  };
  return {
    listNetworks: () => ({
      networks: agent.cluster.networks.map(networkMessage),
      clusterId: agent.cluster.clusterId,
    }),

    async claimSubnets(request) {
      const node = parseOptional("node", request.node, {
        parse: parseNodeName,
        empty: agent.node,
      });
      return { subnets: await describe(await agent.claim(node)) };
    },

    async releaseSubnets(request) {
      const node = parseField("node", request.node, parseNodeName);
      return { subnets: await describe(await agent.releaseSubnets(node)) };
    },

    async listSubnets() {
      return { subnets: (await registry.subnets()).map(subnetMessage) };
    },

    async reserveSubnet(request) {
      const subnet = await registry.reserve({
        subnet: parseField("cidr", request.cidr, parsePrefix),
        node: parseOptional("node", request.node, {
          parse: parseNodeName,
          empty: "",
        }),
        reason: parseOptional("reason", request.reason, {
          parse: parseText,
          empty: "",
        }),
      });
      return { subnet: subnetMessage(subnet) };
    },

    async unreserveSubnet(request) {
      await registry.unreserve(parseField("cidr", request.cidr, parsePrefix));
      return {};
    },

    async listRoutes() {
      return { routes: (await registry.routes()).map(routeMessage) };
    },

    async addRoute(request) {
      const destination = parseField("cidr", request.cidr, parsePrefix);
      const target = parseField("target", request.target, parseAddress);
      return {
        route: routeMessage(await registry.addRoute({ destination, target })),
      };
    },

    async deleteRoute(request) {
      await registry.deleteRoute({
        destination: parseField("cidr", request.cidr, parsePrefix),
        target: parseOptional("target", request.target, {
          parse: parseAddress,
          empty: undefined,
        }),
      });
      return {};
    },
  };
}
