import type { ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { HostController } from "../../host/controller.ts";
import type { RouteRecord } from "../../registry/plan/cluster_state.ts";
import type { Registry } from "../../registry/registry.ts";
import { NetError } from "../../base/error.ts";
import type { Network } from "../../gen/stellar/services/network/v1/network_pb.ts";
import {
  type Owner,
  parseContainerId,
  parseNodeName,
} from "../../base/names.ts";
import { formatAddress, parseAddress } from "../../net/address.ts";
import { type Carve, sliceAt, sliceCount } from "../../net/carve.ts";
import {
  formatPrefix,
  gatewayOf,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import type { OwnerCalls } from "./owner_calls.ts";
import { guardOf } from "./registry.ts";
import {
  DEFAULT_OWNER_INTERFACE,
  DEFAULT_OWNER_NETWORK,
  invalidField,
  parseField,
  parseOptional,
} from "../messages/fields.ts";

const SERVICE_ID = "stellar.services.network.v1";

/** Bytes of a list: gRPC clients accept messages of up to 4 MiB. */
const MAX_LISTED_BYTES = 4 * 1024 * 1024 - 1024;

/** Stellar's network service. It has one subnet for each node and one address
 * for each id: those of the first network.
 */
export function createStellarNetwork(
  agent: Agent,
  { controller, ownerCalls }: {
    readonly controller: HostController;
    readonly ownerCalls: OwnerCalls;
  },
): ServiceImpl<typeof Network> {
  /** An agent that does not host the registry forwards such calls. */
  const host = () => agent.requireHost();
  /** The subnet of a node. Asking for the own node's claims one. */
  const subnetOf = async (node: string): Promise<Prefix> => {
    const [subnet] = node === agent.node
      ? await agent.member.claim()
      : await host().registry.subnetsOf(node);
    if (subnet) return subnet;
    throw new NetError(
      "not_found",
      `subnet not found: node "${node}" has none`,
    );
  };
  return {
    info: () => ({ id: SERVICE_ID }),

    async allocateSubnet({ node: name }, context) {
      const node = parseField("node", name, parseNodeName);
      const [subnet] = node === agent.node
        ? await agent.member.claim()
        : await host().registry.claim(node, {
          guard: guardOf(host(), context),
        });
      return { subnetCidr: formatPrefix(subnet!), node };
    },

    async getSubnet({ node: name }) {
      const node = parseField("node", name, parseNodeName);
      return { subnetCidr: formatPrefix(await subnetOf(node)) };
    },

    async deallocateSubnet(request) {
      const subnet = parseOptional(
        "subnet_cidr",
        request.subnetCidr,
        parsePrefix,
      );
      const node = parseOptional("node", request.node, parseNodeName);
      const { pools, registry } = host();
      await pools.release(node ?? await ownerOf(registry, subnet), subnet);
      return {};
    },

    subnets: () => ({
      subnets: listSubnets(agent.member.cluster?.networks ?? []),
    }),

    async allocateIP(request, context) {
      const owner = parseOwnerId(request.id);
      const node = parseField("node", request.node, parseNodeName);
      const subnet = parseOptional(
        "subnet_cidr",
        request.subnetCidr,
        parsePrefix,
      );
      if (subnet) checkSubnet(subnet, { node, has: await subnetOf(node) });
      const { values, signal } = context;
      return await ownerCalls.run({ node, owner, values }, async () => {
        const { allocation } = await agent.addresses.allocate(
          node,
          { owner, addresses: [] },
          { signal },
        );
        const ip = formatAddress(allocation.addresses[0]!.address);
        return {
          response: { ip, node },
          allocation: allocation.id,
        };
      });
    },

    async getIP(request, { values }) {
      const owner = parseOwnerId(request.id);
      const node = parseField("node", request.node, parseNodeName);
      return await ownerCalls.run({ node, owner, values }, async () => {
        const allocation = await agent.addresses.get(node, owner);
        const [first] = allocation?.addresses ?? [];
        return {
          response: { ip: first ? formatAddress(first.address) : "" },
          allocation: allocation?.id,
        };
      });
    },

    async releaseIP(request, { values }) {
      const owner = parseOwnerId(request.id);
      const node = parseField("node", request.node, parseNodeName);
      return await ownerCalls.run({ node, owner, values }, async () => {
        await agent.addresses.release(node, {
          owner,
          reason: "released over the API",
        });
        return { response: {} };
      });
    },

    async configure({ subnet }) {
      await controller.configure(
        parseField("subnet.cidr", subnet?.cidr ?? "", parsePrefix),
        formatAddress(
          parseField("subnet.gateway", subnet?.gateway ?? "", parseAddress),
        ),
      );
      return {};
    },

    async addRoute(request) {
      await host().registry.addRoute({
        destination: parseField("cidr", request.cidr, parsePrefix),
        target: parseField("target", request.target, parseAddress),
      });
      return {};
    },

    async deleteRoute(request) {
      await host().registry.deleteRoute({
        destination: parseField("cidr", request.cidr, parsePrefix),
        target: parseOptional("target", request.target, parseAddress),
      });
      return {};
    },

    async routes() {
      return { routes: listRoutes(await host().registry.routes()) };
    },
  };
}

/** Stellar's ids name a container; the other parts of the owner are the native API's defaults. */
function parseOwnerId(id: string): Owner {
  return {
    network: DEFAULT_OWNER_NETWORK,
    containerId: parseField("id", id, parseContainerId),
    interfaceName: DEFAULT_OWNER_INTERFACE,
  };
}

async function ownerOf(
  registry: Registry,
  subnet: Prefix | undefined,
): Promise<string> {
  if (!subnet) throw invalidField("subnet_cidr", "it is empty, and so is node");
  const owner = await registry.ownerOf(subnet);
  if (owner !== undefined) return owner;
  throw new NetError(
    "not_found",
    `subnet not found: no node owns "${formatPrefix(subnet)}"`,
  );
}

function checkSubnet(
  subnet: Prefix,
  { node, has }: { readonly node: string; readonly has: Prefix },
): void {
  const asked = formatPrefix(subnet);
  if (formatPrefix(has) === asked) return;
  throw invalidField(
    "subnet_cidr",
    `"${asked}" is not the subnet of node "${node}", which is "${
      formatPrefix(has)
    }"`,
  );
}

/**
 * The slices of the networks, as Stellar's own service lists them: of each
 * network all or none, as many networks as fit into one message.
 */
export function listSubnets(
  networks: readonly Carve[],
): { readonly cidr: string; readonly gateway: string }[] {
  const subnets: { readonly cidr: string; readonly gateway: string }[] = [];
  let left = MAX_LISTED_BYTES;
  for (const carve of networks) {
    const count = sliceCount(carve);
    // The last slice has the longest text.
    const longest = sliceAt(carve, count - 1n);
    const { cidr, gateway } = subnetOfSlice(longest);
    const bytes = count * BigInt(bytesOf(cidr, gateway));
    if (bytes > left) continue;
    left -= Number(bytes);
    for (let i = 0n; i < count; i++) {
      subnets.push(subnetOfSlice(sliceAt(carve, i)));
    }
  }
  return subnets;
}

function subnetOfSlice(slice: Prefix) {
  return {
    cidr: formatPrefix(slice),
    gateway: formatAddress(gatewayOf(slice)),
  };
}

/**
 * The extra routes, as Stellar's own service lists them.
 *
 * @throws {NetError} `exhausted` when they do not fit into one message: half of
 * a list would pass for all of it
 */
export function listRoutes(
  routes: readonly RouteRecord[],
): { readonly cidr: string; readonly target: string }[] {
  const listed = routes.map(({ destination, target }) => ({
    cidr: formatPrefix(destination),
    target: formatAddress(target),
  }));
  const bytes = listed.reduce(
    (sum, { cidr, target }) => sum + bytesOf(cidr, target),
    0,
  );
  if (bytes <= MAX_LISTED_BYTES) return listed;
  throw new NetError(
    "exhausted",
    `Cannot list ${routes.length} routes in one message of 4 MiB: call stellar.net.v1.RegistryService/ListRoutes, which has pages`,
  );
}

/** Bytes of an item with two texts in a message: tags and lengths take two each, for up to 127 bytes. */
function bytesOf(first: string, second: string): number {
  return 6 + first.length + second.length;
}
