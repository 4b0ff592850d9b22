import type { AgentConfig, ListenAddress } from "../../config/config.ts";
import { parseApiUrl, parseNodeName } from "../../base/names.ts";
import type { Address } from "../../net/address.ts";
import type { Prefix } from "../../net/prefix.ts";
import { parseNetwork } from "../../net/special.ts";
import { parseBridgeName } from "../../host/plan/host_plan.ts";
import { parseRouteProtocol } from "../../routes/plan/protocol.ts";
import {
  parseAdvertised,
  parseChoice,
  parseDuration,
  parseGroup,
  parseInteger,
  parseListen,
  parsePath,
  parseReclaim,
  parseTimeout,
} from "../framework/parsers.ts";
import type { LogLevel, LogOptions } from "../framework/io.ts";
import {
  type Flag,
  type FlagWithDefault,
  switchFlag,
} from "../framework/flag.ts";

// The agent's flags, in the order of its help.

/** The network of a cluster that is created without `--network`. */
export const DEFAULT_NETWORK = "172.16.0.0/12";
const FORMATS = ["text", "json"] as const;
const LEVELS = ["debug", "info", "warning", "error"] as const;
const ROUTE_MODES = ["auto", "apply", "plan", "off"] as const;

export const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "name of this node, unique in the cluster",
  defaultNote: "the host's name",
  parse: parseNodeName,
};

export const NETWORK: Flag<Prefix> = {
  name: "network",
  value: "CIDR",
  description: "create the cluster with this network",
  defaultNote: `the cluster's, or ${DEFAULT_NETWORK}`,
  repeatable: true,
  parse: parseNetwork,
};

export const SUBNET_PREFIX: Flag<number> = {
  name: "subnet-prefix",
  value: "N",
  description: "prefix length of the nodes' subnets, in the order of --network",
  defaultNote: "the network's plus 10 for IPv4, 64 for IPv6",
  repeatable: true,
  parse: parseInteger(0, 128),
};

export const STATE: FlagWithDefault<string> = {
  name: "state",
  value: "DIR",
  description: "folder of the agent's state",
  default: "/var/lib/stellar-net",
  completion: "directory",
  parse: parsePath,
};

export const SOCKET_GROUP: Flag<string> = {
  name: "socket-group",
  value: "GROUP",
  description: "group whose members may use the socket too, by name or number",
  defaultNote: "none, only its owner",
  parse: parseGroup,
};

export const LISTEN: Flag<ListenAddress> = {
  name: "listen",
  value: "ADDR:PORT",
  description:
    "also serve the API on this TCP address, with TLS unless it is loopback",
  defaultNote: "only the socket",
  repeatable: true,
  parse: parseListen,
};

export const METRICS: Flag<ListenAddress> = {
  name: "metrics",
  value: "ADDR:PORT",
  description: "serve only /metrics, /healthz and /readyz on this TCP address",
  defaultNote: "only the socket and --listen",
  repeatable: true,
  parse: parseListen,
};

export const ADVERTISE: Flag<Address> = {
  name: "advertise",
  value: "IP",
  description: "address that other hosts use as next hop, one per family",
  defaultNote: "the addresses of the interface with the default route",
  repeatable: true,
  parse: parseAdvertised,
};

export const JOIN: Flag<string> = {
  name: "join",
  value: "URL",
  description: "join the cluster whose registry the agent at URL hosts",
  defaultNote: "this agent hosts the registry",
  repeatable: true,
  parse: parseApiUrl,
};

export const ROUTES: FlagWithDefault<AgentConfig["routes"]> = {
  name: "routes",
  value: "MODE",
  description:
    "apply, plan or off; auto applies routes if the agent has CAP_NET_ADMIN, else off",
  default: "auto",
  completion: ROUTE_MODES,
  parse: parseChoice(ROUTE_MODES),
};

export const ROUTE_PROTOCOL: FlagWithDefault<number> = {
  name: "route-protocol",
  value: "N",
  description: "protocol number that marks the agent's own kernel routes",
  default: "83",
  parse: parseRouteProtocol,
};

export const BRIDGE: Flag<string> = {
  name: "bridge",
  value: "NAME",
  description: "create this bridge with the gateway's address",
  defaultNote: "none, the CNI bridge plugin creates it",
  parse: parseBridgeName,
};

export const MASQUERADE: Flag<boolean> = switchFlag(
  "masquerade",
  "source NAT: send traffic that leaves the cluster's networks from the host's address",
);

export const COOL_DOWN: FlagWithDefault<number> = {
  name: "cool-down",
  value: "DURATION",
  description: "how long a released address stays unused",
  default: "60s",
  parse: parseDuration,
};

export const RECLAIM_AFTER: Flag<number> = {
  name: "reclaim-after",
  value: "DURATION",
  description: "remove a node that has been silent this long",
  defaultNote: "never",
  parse: parseReclaim,
};

export const KEEP_HISTORY: FlagWithDefault<number> = {
  name: "keep-history",
  value: "DURATION",
  description: "how long to keep the history of addresses",
  default: "720h",
  parse: parseDuration,
};

export const LEAK_INTERVAL: FlagWithDefault<number> = {
  name: "leak-interval",
  value: "DURATION",
  description: "interval between checks for addresses of vanished containers",
  default: "30s",
  parse: parseTimeout,
};

export const LEAK_GRACE: FlagWithDefault<number> = {
  name: "leak-grace",
  value: "DURATION",
  description: "how long to keep such an address after it is first found",
  default: "5m",
  parse: parseDuration,
};

export const LOG_FORMAT: Flag<LogOptions["format"]> = {
  name: "log-format",
  value: "FORMAT",
  description: "text or json",
  defaultNote: "text on a terminal, json otherwise",
  completion: FORMATS,
  parse: parseChoice(FORMATS),
};

export const LOG_LEVEL: FlagWithDefault<LogLevel> = {
  name: "log-level",
  value: "LEVEL",
  description: "debug, info, warning or error",
  default: "info",
  completion: LEVELS,
  parse: parseChoice(LEVELS),
};
