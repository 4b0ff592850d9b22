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
  parseSwitch,
  parseTimeout,
} from "../framework/flags.ts";
import type { LogLevel, LogOptions } from "../framework/io.ts";
import type { Flag } from "../framework/flag.ts";

// The flags of the agent, in the order of its help.

/** The network of a cluster that is created without `--network`. */
export const DEFAULT_NETWORK = "172.16.0.0/12";
const FORMATS = ["text", "json"] as const;
const LEVELS = ["debug", "info", "warning", "error"] as const;
const ROUTE_MODES = ["auto", "apply", "plan", "off"] as const;

type FlagWithDefault<T> = Flag<T> & { readonly default: string };

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
  description: "folder of the state",
  default: "/var/lib/stellar-net",
  completion: "directory",
  parse: parsePath,
};

export const SOCKET_GROUP: Flag<string> = {
  name: "socket-group",
  value: "GROUP",
  description: "group whose members may use the socket as well, name or number",
  defaultNote: "none, its owner alone",
  parse: parseGroup,
};

export const LISTEN: Flag<ListenAddress> = {
  name: "listen",
  value: "ADDR:PORT",
  description:
    "serve the API on this TCP address too, with TLS unless it is loopback",
  defaultNote: "the socket alone",
  repeatable: true,
  parse: parseListen,
};

export const METRICS: Flag<ListenAddress> = {
  name: "metrics",
  value: "ADDR:PORT",
  description: "serve /metrics, /healthz and /readyz, and no more, there",
  defaultNote: "the socket and --listen alone",
  repeatable: true,
  parse: parseListen,
};

export const ADVERTISE: Flag<Address> = {
  name: "advertise",
  value: "IP",
  description: "address that other hosts route through, one of each family",
  defaultNote: "those of the interface with the default route",
  repeatable: true,
  parse: parseAdvertised,
};

export const JOIN: Flag<string> = {
  name: "join",
  value: "URL",
  description: "join the cluster whose registry the agent at URL hosts",
  defaultNote: "this agent hosts it",
  repeatable: true,
  parse: parseApiUrl,
};

export const ROUTES: FlagWithDefault<AgentConfig["routes"]> = {
  name: "routes",
  value: "MODE",
  description:
    "apply, plan or off; auto applies them where the agent may, with CAP_NET_ADMIN",
  default: "auto",
  completion: ROUTE_MODES,
  parse: parseChoice(ROUTE_MODES),
};

export const ROUTE_PROTOCOL: FlagWithDefault<number> = {
  name: "route-protocol",
  value: "N",
  description: "the mark by which the agent knows its own kernel routes",
  default: "83",
  parse: parseRouteProtocol,
};

export const BRIDGE: Flag<string> = {
  name: "bridge",
  value: "NAME",
  description: "make this bridge and give it the gateway's address",
  defaultNote: "none, the CNI bridge plugin makes it",
  parse: parseBridgeName,
};

export const MASQUERADE: Flag<boolean> = {
  name: "masquerade",
  description:
    "give traffic that leaves the cluster's networks the host's address",
  parse: parseSwitch,
};

export const COOL_DOWN: FlagWithDefault<number> = {
  name: "cool-down",
  value: "DURATION",
  description: "how long a released address is kept back",
  default: "60s",
  parse: parseDuration,
};

export const RECLAIM_AFTER: Flag<number> = {
  name: "reclaim-after",
  value: "DURATION",
  description: "remove a node that was silent for so long",
  defaultNote: "never",
  parse: parseReclaim,
};

export const KEEP_HISTORY: FlagWithDefault<number> = {
  name: "keep-history",
  value: "DURATION",
  description: "how long the history of addresses is kept",
  default: "720h",
  parse: parseDuration,
};

export const LEAK_INTERVAL: FlagWithDefault<number> = {
  name: "leak-interval",
  value: "DURATION",
  description: "how often addresses of vanished containers are looked for",
  default: "30s",
  parse: parseTimeout,
};

export const LEAK_GRACE: FlagWithDefault<number> = {
  name: "leak-grace",
  value: "DURATION",
  description: "how long such an address is kept after it was found first",
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
