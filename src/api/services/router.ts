import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { AuditLog } from "../../audit/audit.ts";
import type { Doctor } from "../../doctor/doctor.ts";
import type { HostController } from "../../host/controller.ts";
import { NetError } from "../../base/error.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../gen/stellar/services/network/v1/network_pb.ts";
import { authorizing } from "../access/authorize.ts";
import { type ForwardedCall, forwarding } from "./forward.ts";
import { createAgent, type ProcessInfo } from "./agent.ts";
import { createIdentity } from "./identity.ts";
import { createIpam } from "./ipam.ts";
import { createJoinedRegistry, createRegistry } from "./registry.ts";
import { createStellarNetwork } from "./stellar_network.ts";
import type { Peer, Peers } from "../client/peers.ts";

/** What an agent's services work with. */
export interface RoutesOptions {
  readonly agent: Agent;
  readonly keeper: HostController;
  readonly doctor: Doctor;
  readonly peers: Peers;
  readonly process: ProcessInfo;
  /** Where changes are recorded, with who has asked for them. Default: nowhere. */
  readonly audit?: AuditLog | undefined;
}

/** Stellar's calls about the addresses of a node. */
const ADDRESS_CALLS: ReadonlySet<DescMethod> = new Set([
  Network.method.allocateIP,
  Network.method.getIP,
  Network.method.releaseIP,
]);

/** Stellar's calls about the registry. */
const REGISTRY_CALLS: ReadonlySet<DescMethod> = new Set([
  Network.method.deallocateSubnet,
  Network.method.addRoute,
  Network.method.deleteRoute,
  Network.method.routes,
]);

/** Stellar's calls about the registry, unless it is about this very node. */
const SUBNET_CALLS: ReadonlySet<DescMethod> = new Set([
  Network.method.allocateSubnet,
  Network.method.getSubnet,
]);

/**
 * Puts the agent's services on a router. What belongs to another node, or to a
 * registry that is not here, is sent on. What a caller may not is refused.
 */
export function createRoutes(
  options: RoutesOptions,
): (router: ConnectRouter) => void {
  const { agent, keeper, peers, audit, process } = options;
  const { node } = agent;
  return (bare) => {
    const router = authorizing(bare, { node, audit, now: process.now });
    router.service(
      Network,
      forwarding(Network, createStellarNetwork(agent, keeper), {
        node,
        to: (call) => stellarPlace(call, options),
      }),
    );
    router.service(
      IpamService,
      forwarding(IpamService, createIpam(agent), {
        node,
        to: ({ request }) => peers.ofNode(nodeOf(request)),
      }),
    );
    router.service(
      RegistryService,
      agent.isHost
        ? createRegistry(() => agent.requireHost(), node)
        : forwarding(RegistryService, createJoinedRegistry(agent), {
          node,
          to: (call) => Promise.resolve(registryPlace(call, options)),
        }),
    );
    router.service(
      IdentityService,
      agent.isHost
        ? createIdentity(() => agent.requireHost())
        : forwarding(IdentityService, {}, {
          node,
          to: () => Promise.resolve(peers.registry()),
        }),
    );
    router.service(AgentService, createAgent(options));
  };
}

async function stellarPlace(
  { method, request }: ForwardedCall,
  { agent, peers }: RoutesOptions,
): Promise<Peer | undefined> {
  if (ADDRESS_CALLS.has(method)) return await peers.ofNode(nodeOf(request));
  if (REGISTRY_CALLS.has(method)) return peers.registry();
  return SUBNET_CALLS.has(method) && nodeOf(request) !== agent.node
    ? peers.registry()
    : undefined;
}

function registryPlace(
  { method, request }: ForwardedCall,
  { agent, peers }: RoutesOptions,
): Peer | undefined {
  const { method: methods } = RegistryService;
  if (method === methods.join) throw refuseJoin(agent);
  // What is known is told, also when the registry is out of reach.
  const isKnown = method === methods.listNetworks ||
    method === methods.listNodes || method === methods.listRoutes;
  if (isKnown && agent.member.link.state !== "joined") return undefined;
  // The registry would take its own node for what is meant.
  if (method === methods.claimSubnets && nodeOf(request) === "") {
    Object.assign(request, { node: agent.node });
  }
  return peers.registry();
}

/**
 * Who joins through an agent that has only joined itself would depend on it:
 * it is told where the registry is. It may try again, there or elsewhere.
 */
function refuseJoin({ node, member }: Agent): NetError {
  const { url } = member.link;
  return new NetError(
    "unavailable",
    `Cannot join through node "${node}": it hosts no registry; name ${
      url === "" ? "the agent that does" : url
    } with --join`,
  );
}

/** The node that a request names. */
function nodeOf(request: object): string {
  return "node" in request && typeof request.node === "string"
    ? request.node
    : "";
}
