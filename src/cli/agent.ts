import type { AgentConfig, ListenAddress } from "../agent/config.ts";
import type { Carve } from "../net/carve.ts";
import { createCarve } from "../net/carve.ts";
import { formatPrefix, overlaps, parsePrefix } from "../net/prefix.ts";
import type { Prefix } from "../net/prefix.ts";
import { parseNetwork } from "../net/special.ts";
import { parseNodeName } from "../names.ts";
import type { Call } from "./call.ts";
import { SOCKET } from "./client.ts";
import {
  formatListen,
  isLoopback,
  parseChoice,
  parseDuration,
  parseInteger,
  parseListen,
  parsePath,
  parseStore,
  parseSwitch,
  parseTimeout,
} from "./flags.ts";
import type { LogLevel, LogOptions } from "./io.ts";
import type { CommandSpec, Flag } from "./spec.ts";

/** The network of a cluster that is created without `--network`. */
const DEFAULT_NETWORK = "172.16.0.0/12";
const FORMATS = ["text", "json"] as const;
const LEVELS = ["debug", "info", "warning", "error"] as const;

type FlagWithDefault<T> = Flag<T> & { readonly default: string };

const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "name of this node, unique in the cluster",
  defaultNote: "the host's name",
  parse: parseNodeName,
};

const NETWORK: Flag<Prefix> = {
  name: "network",
  value: "CIDR",
  description: "create the cluster with this network",
  defaultNote: `the cluster's, or ${DEFAULT_NETWORK}`,
  repeatable: true,
  parse: parseNetwork,
};

const SUBNET_PREFIX: Flag<number> = {
  name: "subnet-prefix",
  value: "N",
  description: "prefix length of the nodes' subnets, in the order of --network",
  defaultNote: "the network's plus 10 for IPv4, 64 for IPv6",
  repeatable: true,
  parse: parseInteger(0, 128),
};

const STATE: FlagWithDefault<string> = {
  name: "state",
  value: "DIR",
  description: "folder of the state",
  default: "/var/lib/stellar-net",
  completion: "directory",
  parse: parsePath,
};

const LISTEN: Flag<ListenAddress> = {
  name: "listen",
  value: "ADDR:PORT",
  description: "serve the API on this TCP address as well",
  defaultNote: "the socket alone",
  repeatable: true,
  parse: parseListen,
};

const INSECURE: Flag<boolean> = {
  name: "insecure",
  description: "allow --listen on addresses that other hosts can reach",
  parse: parseSwitch,
};

const STORE: FlagWithDefault<AgentConfig["store"]> = {
  name: "store",
  value: "URL",
  description: "kv: is a file in --state, kv::memory: is lost at the end",
  default: "kv:",
  parse: parseStore,
};

const COOL_DOWN: FlagWithDefault<number> = {
  name: "cool-down",
  value: "DURATION",
  description: "how long a released address is kept back",
  default: "60s",
  parse: parseDuration,
};

const KEEP_HISTORY: FlagWithDefault<number> = {
  name: "keep-history",
  value: "DURATION",
  description: "how long the history of addresses is kept",
  default: "720h",
  parse: parseDuration,
};

const LEAK_INTERVAL: FlagWithDefault<number> = {
  name: "leak-interval",
  value: "DURATION",
  description: "how often addresses of vanished containers are looked for",
  default: "30s",
  parse: parseTimeout,
};

const LEAK_GRACE: FlagWithDefault<number> = {
  name: "leak-grace",
  value: "DURATION",
  description: "how long such an address is kept after it was found first",
  default: "5m",
  parse: parseDuration,
};

const LOG_FORMAT: Flag<LogOptions["format"]> = {
  name: "log-format",
  value: "FORMAT",
  description: "text or json",
  defaultNote: "text on a terminal, json otherwise",
  completion: FORMATS,
  parse: parseChoice(FORMATS),
};

const LOG_LEVEL: FlagWithDefault<LogLevel> = {
  name: "log-level",
  value: "LEVEL",
  description: "debug, info, warning or error",
  default: "info",
  completion: LEVELS,
  parse: parseChoice(LEVELS),
};

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
    LISTEN,
    INSECURE,
    STORE,
    COOL_DOWN,
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
  ],
  run: (call) => call.io.runAgent(readConfig(call), readLog(call)),
};

function readConfig(call: Call): AgentConfig {
  return {
    node: readNode(call),
    networks: readNetworks(call),
    stateDir: call.value(STATE),
    socketPath: call.value(SOCKET),
    listen: readListen(call),
    store: call.value(STORE),
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
        `(${networks.map(formatPrefix).join(", ")}): one of each at most`,
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

function readListen(call: Call): ListenAddress[] {
  const addresses = call.values(LISTEN);
  const seen = new Set<string>();
  for (const address of addresses) {
    const text = formatListen(address);
    if (!isLoopback(address.hostname) && !call.value(INSECURE)) {
      throw call.usage(
        `${
          call.originOf(LISTEN)
        }: "${text}" can be reached from other hosts, ` +
          "in plain text: listen on 127.0.0.1 or [::1], or add --insecure",
      );
    }
    if (address.port !== 0 && seen.has(text)) {
      throw call.usage(`${call.originOf(LISTEN)}: "${text}" is given twice`);
    }
    seen.add(text);
  }
  return addresses;
}
