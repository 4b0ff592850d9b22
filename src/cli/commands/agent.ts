import { parseApiUrl, parseNodeName } from "../../base/names.ts";
import type { AgentConfig, ListenAddress } from "../../config/config.ts";
import { parseEnvironment } from "../../install/plan/agent_env.ts";
import { ENV_PATH } from "../../install/plan/layout.ts";
import { parseBridgeName } from "../../host/plan/host_plan.ts";
import { type Address, formatAddress } from "../../net/address.ts";
import { type Carve, createCarve } from "../../net/carve.ts";
import {
  formatPrefix,
  overlaps,
  parseNetwork,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import { parseRouteProtocol } from "../../routes/plan/kernel_route.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import {
  environmentName,
  type Flag,
  type FlagWithDefault,
  refuseTogether,
  switchFlag,
} from "../framework/flag.ts";
import type { LogLevel, LogOptions } from "../framework/io.ts";
import {
  formatListen,
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
import { SOCKET } from "../framework/target.ts";
import {
  checkJoin,
  readSecurity,
  SECURITY_FLAGS,
} from "../framework/tls_flags.ts";
import { DOCKER_FLAGS, readDocker } from "./docker_flags.ts";
import { readStore, STORE, STORE_FLAGS } from "./store_flags.ts";

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

/** The state of an agent that does not run. */
export const OFFLINE_STATE: Flag<string> = {
  name: STATE.name,
  value: "DIR",
  description: STATE.description,
  defaultNote: "the folder of the agent at --socket",
  completion: "directory",
  parse: parsePath,
};

/**
 * The state folder of a stopped agent: the given one, else that of the agent
 * that served on the socket last, else that of the installed agent.
 */
export async function readStateDir(call: Call): Promise<string> {
  const given = call.value(OFFLINE_STATE);
  if (given !== undefined) return given;
  const socketPath = call.value(SOCKET);
  const found = call.io.findStateDir(socketPath);
  if (found !== undefined) return found;
  const { filesAt } = await call.io.installer();
  const text = await filesAt("/").read(ENV_PATH) ?? "";
  const installed = parseEnvironment(text);
  const isSame = socketPath ===
    (installed.get(environmentName(SOCKET)) ?? SOCKET.default);
  const state = isSame ? installed.get(environmentName(STATE)) : undefined;
  return state ?? STATE.default;
}

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

const NO_BLACKHOLE: Flag<boolean> = switchFlag(
  "no-blackhole",
  "add no unreachable routes for addresses of the networks that nobody has",
);

const ON_OFF = ["on", "off"] as const;

const FORWARD_RULES: FlagWithDefault<typeof ON_OFF[number]> = {
  name: "forward-rules",
  value: "on|off",
  description:
    "add accept rules for containers to packet filters of other programs that drop the rest",
  default: "on",
  completion: ON_OFF,
  parse: parseChoice(ON_OFF),
};

export const PROBE: FlagWithDefault<typeof ON_OFF[number]> = {
  name: "probe",
  value: "on|off",
  description:
    "measure the paths to peers, over UDP port 9002, and answer their probes",
  default: "on",
  completion: ON_OFF,
  parse: parseChoice(ON_OFF),
};

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
  description: "how long to keep a leaked address after it is first found",
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

/** Flags of agents that host the registry, and the reasons why an agent that joins has none. */
const NOT_WITH_JOIN = [
  [NETWORK, "the cluster that it joins has its networks"],
  [SUBNET_PREFIX, "the cluster that it joins has its networks"],
  [
    RECLAIM_AFTER,
    "the agents that host the registry remove nodes, so set it there",
  ],
] as const;

export const AGENT: CommandSpec = {
  name: "agent",
  summary: "Run the agent of this node until it is stopped",
  action: "run the agent",
  flags: [
    NODE,
    NETWORK,
    SUBNET_PREFIX,
    STATE,
    SOCKET,
    SOCKET_GROUP,
    LISTEN,
    METRICS,
    ADVERTISE,
    JOIN,
    ...SECURITY_FLAGS,
    ...STORE_FLAGS,
    ROUTES,
    ROUTE_PROTOCOL,
    BRIDGE,
    MASQUERADE,
    NO_BLACKHOLE,
    FORWARD_RULES,
    PROBE,
    ...DOCKER_FLAGS,
    COOL_DOWN,
    RECLAIM_AFTER,
    KEEP_HISTORY,
    LEAK_INTERVAL,
    LEAK_GRACE,
    LOG_FORMAT,
    LOG_LEVEL,
  ],
  examples: [
    "stellar-net agent",
    "stellar-net agent --state .state --socket .state/agent.sock --listen 127.0.0.1:9000",
    "stellar-net agent --network 10.0.0.0/8 --subnet-prefix 20 --network fd00:1::/48",
    "stellar-net agent --listen 198.18.0.2:9000 --join https://198.18.0.1:9000 --token-file /etc/stellar-net/token",
  ],
  run: (call) => call.io.runAgent(readConfig(call), readLog(call)),
};

/** Reads the agent's flags. */
export function readConfig(call: Call): AgentConfig {
  refuseWithJoin(call);
  const join = readDistinct(call, JOIN, {
    keyOf: (url) => new URL(url).origin,
  });
  const security = readSecurity(call, join);
  checkJoin(call, { join, flag: JOIN, security });
  return {
    node: readNode(call),
    networks: readNetworks(call),
    stateDir: call.value(STATE),
    socketPath: call.value(SOCKET),
    socketGroup: call.value(SOCKET_GROUP),
    listen: readDistinct(call, LISTEN, { keyOf: listenKey }),
    metrics: readDistinct(call, METRICS, {
      keyOf: listenKey,
      taken: call.values(LISTEN),
    }),
    security,
    store: readStore(call),
    join,
    advertise: readAdvertise(call),
    routes: call.value(ROUTES),
    routeProtocol: call.value(ROUTE_PROTOCOL),
    bridge: call.value(BRIDGE),
    masquerade: call.value(MASQUERADE) ?? false,
    blackhole: !(call.value(NO_BLACKHOLE) ?? false),
    forwardRules: call.value(FORWARD_RULES) === "on",
    probe: call.value(PROBE) === "on",
    docker: readDocker(call),
    reclaimAfterMs: call.value(RECLAIM_AFTER),
    coolDownMs: call.value(COOL_DOWN),
    keepHistoryMs: call.value(KEEP_HISTORY),
    leakIntervalMs: call.value(LEAK_INTERVAL),
    leakGraceMs: call.value(LEAK_GRACE),
  };
}

function readLog(call: Call): LogOptions {
  const format = call.value(LOG_FORMAT) ??
    (call.io.isTerminal ? "text" : "json");
  return { format, level: call.value(LOG_LEVEL) };
}

function readNode(call: Call): string {
  const named = call.value(NODE);
  if (named !== undefined) return named;
  try {
    return parseNodeName(call.io.hostname());
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw call.usage(`the host's name ${error.message}: set --node`);
  }
}

function readNetworks(call: Call): Carve[] {
  const given = call.values(NETWORK);
  const lengths = call.values(SUBNET_PREFIX);
  const networks = given.length === 0 && lengths.length > 0
    ? [parsePrefix(DEFAULT_NETWORK)]
    : given;
  if (lengths.length > networks.length) {
    throw call.usage(
      `${call.originOf(SUBNET_PREFIX)} has ${lengths.length} values ` +
        `(${lengths.join(", ")}) for ${networks.length} of --network ` +
        `(${
          networks.map(formatPrefix).join(", ")
        }): give at most one per network`,
    );
  }
  const carves = networks.map((network, i) => carve(call, network, lengths[i]));
  for (const [i, { network }] of carves.entries()) {
    const other = carves.slice(0, i).find((c) => overlaps(c.network, network));
    if (other) {
      throw call.usage(
        `${call.originOf(NETWORK)}: "${formatPrefix(other.network)}" and "${
          formatPrefix(network)
        }" overlap: remove one`,
      );
    }
  }
  return carves;
}

function carve(call: Call, network: Prefix, length: number | undefined): Carve {
  try {
    return createCarve(network, length);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const flag = length === undefined ? NETWORK : SUBNET_PREFIX;
    throw call.usage(`${call.originOf(flag)}: ${error.message}`);
  }
}

/**
 * Reads the values of a flag, and refuses two that are the same.
 *
 * @param keyOf two values with one key are the same; undefined for one like no other
 */
function readDistinct<T>(
  call: Call,
  flag: Flag<T>,
  { keyOf, taken = [] }: {
    readonly keyOf: (value: T) => string | undefined;
    readonly taken?: readonly T[];
  },
): T[] {
  const values = call.values(flag);
  const seen = new Set(taken.map(keyOf));
  for (const [i, value] of values.entries()) {
    const key = keyOf(value);
    if (key !== undefined && seen.has(key)) {
      throw call.usage(
        `${call.originOf(flag)}: "${call.given(flag)![i]}" is given twice`,
      );
    }
    seen.add(key);
  }
  return values;
}

/** Port 0 takes a free one, each time another. */
function listenKey(address: ListenAddress): string | undefined {
  return address.port === 0 ? undefined : formatListen(address);
}

function refuseWithJoin(call: Call): void {
  for (const [flag, why] of NOT_WITH_JOIN) {
    refuseTogether(call, { flag: JOIN, others: [flag], why });
  }
  if (typeof call.value(STORE) !== "object") return;
  refuseTogether(call, {
    flag: JOIN,
    others: [STORE],
    why: "an agent hosts the registry in etcd, or joins agents that do",
  });
}

function readAdvertise(call: Call): Address[] {
  const addresses = call.values(ADVERTISE);
  for (const [i, address] of addresses.entries()) {
    const { family } = address;
    const other = addresses.slice(0, i).find((a) => a.family === family);
    if (other) {
      throw call.usage(
        `${call.originOf(ADVERTISE)}: "${formatAddress(other)}" and "${
          formatAddress(address)
        }" are both IPv${family}: give at most one per family`,
      );
    }
  }
  return addresses;
}
