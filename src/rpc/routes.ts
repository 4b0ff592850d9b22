import type { ConnectRouter } from "@connectrpc/connect";
import type { Agent } from "../agent/agent.ts";
import { AgentService } from "../gen/stellar/net/v1/agent_pb.ts";
import { IpamService } from "../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../gen/stellar/services/network/v1/network_pb.ts";
import { createAgent, type ProcessInfo } from "./handlers/agent.ts";
import { createIpam } from "./handlers/ipam.ts";
import { createRegistry } from "./handlers/registry.ts";
import { createStellarNetwork } from "./handlers/stellar_network.ts";

/** Puts the agent's services on a router. */
export function createRoutes(
  agent: Agent,
  process: ProcessInfo,
): (router: ConnectRouter) => void {
  return (router) => {
    router.service(Network, createStellarNetwork(agent));
    router.service(IpamService, createIpam(agent));
    router.service(RegistryService, createRegistry(agent));
    router.service(AgentService, createAgent(agent, process));
  };
}
