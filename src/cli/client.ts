import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../gen/stellar/net/v1/agent_pb.ts";
import { IpamService } from "../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../gen/stellar/net/v1/registry_pb.ts";
import { parseSocketPath, parseSwitch, parseTimeout } from "./flags.ts";
import type { Flag } from "./spec.ts";

// The one module of the command line that knows the generated code.
export type {
  Check,
  GetStatusResponse,
  HostRoute,
  HostRouteCounts,
  ListHostRoutesResponse,
  PeerCounts,
  RegistryLink,
  SubnetUsage,
} from "../gen/stellar/net/v1/agent_pb.ts";
export {
  CheckStatus,
  HostRouteState,
  RegistryLinkState,
  RouteMode,
} from "../gen/stellar/net/v1/agent_pb.ts";
export type {
  Allocation,
  HistoryRecord,
} from "../gen/stellar/net/v1/ipam_pb.ts";
export type { Node, Route, Subnet } from "../gen/stellar/net/v1/registry_pb.ts";
export { NodeState, SubnetState } from "../gen/stellar/net/v1/registry_pb.ts";

/** Clients of the services of an agent. */
export interface AgentClients {
  readonly agent: Client<typeof AgentService>;
  readonly ipam: Client<typeof IpamService>;
  readonly registry: Client<typeof RegistryService>;
}

/** Makes the clients of an agent that a transport reaches. */
export function createClients(transport: Transport): AgentClients {
  return {
    agent: createClient(AgentService, transport),
    ipam: createClient(IpamService, transport),
    registry: createClient(RegistryService, transport),
  };
}

export const SOCKET: Flag<string> & { readonly default: string } = {
  name: "socket",
  value: "PATH",
  description: "unix socket of the agent",
  default: "/run/stellar-net/agent.sock",
  completion: "file",
  parse: parseSocketPath,
};

export const JSON_OUTPUT: Flag<boolean> = {
  name: "json",
  description: "print one JSON object in place of a table",
  parse: parseSwitch,
};

export const TIMEOUT: Flag<number> & { readonly default: string } = {
  name: "timeout",
  value: "DURATION",
  description: "how long to wait for each answer of the agent",
  default: "10s",
  parse: parseTimeout,
};

/** The flags that every client of an agent has. They may stand before the command as well. */
export const CLIENT_FLAGS: readonly Flag<unknown>[] = [
  SOCKET,
  JSON_OUTPUT,
  TIMEOUT,
];
