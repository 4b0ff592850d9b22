import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { parseApiUrl } from "../../base/names.ts";
import {
  parsePath,
  parseSocketPath,
  parseSwitch,
  parseTimeout,
} from "./flags.ts";
import type { Flag } from "./flag.ts";

// The one module of the command line that knows the generated code.
export type {
  AuditRecord,
  Check,
  GetStatusResponse,
  HostRoute,
  HostRouteCounts,
  ListHostRoutesResponse,
  PeerCounts,
  RegistryLink,
  SubnetUsage,
} from "../../gen/stellar/net/v1/agent_pb.ts";
export {
  CheckStatus,
  HostRouteState,
  RegistryLinkState,
  RouteMode,
  Security,
} from "../../gen/stellar/net/v1/agent_pb.ts";
export type {
  Authority,
  Certificate,
  Token,
} from "../../gen/stellar/net/v1/identity_pb.ts";
export { Role, TokenState } from "../../gen/stellar/net/v1/identity_pb.ts";
export type {
  Allocation,
  HistoryRecord,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
export type {
  Node,
  Route,
  Subnet,
} from "../../gen/stellar/net/v1/registry_pb.ts";
export {
  NodeState,
  SubnetState,
} from "../../gen/stellar/net/v1/registry_pb.ts";

/** Clients of the services of an agent. */
export interface AgentClients {
  readonly agent: Client<typeof AgentService>;
  readonly identity: Client<typeof IdentityService>;
  readonly ipam: Client<typeof IpamService>;
  readonly registry: Client<typeof RegistryService>;
}

/** Makes the clients of an agent that a transport reaches. */
export function createClients(transport: Transport): AgentClients {
  return {
    agent: createClient(AgentService, transport),
    identity: createClient(IdentityService, transport),
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

export const URL_FLAG: Flag<string> = {
  name: "url",
  value: "URL",
  description:
    "call the agent there in place of the socket's: https:// with --identity, http:// on this host alone",
  defaultNote: "the socket, or what the identity was made with",
  parse: parseApiUrl,
};

export const IDENTITY: Flag<string> = {
  name: "identity",
  value: "DIR",
  description:
    "call as whom the certificate in this folder names, see identity create",
  defaultNote: "the user of the socket",
  completion: "directory",
  parse: parsePath,
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

/** The flags that say which agent is called, and as whom. */
export const TARGET_FLAGS: readonly Flag<unknown>[] = [
  SOCKET,
  URL_FLAG,
  IDENTITY,
];

/** The flags that every client of an agent has. They may stand before the command as well. */
export const CLIENT_FLAGS: readonly Flag<unknown>[] = [
  ...TARGET_FLAGS,
  JSON_OUTPUT,
  TIMEOUT,
];
