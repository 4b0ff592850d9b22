import type { AgentConfig, ListenAddress } from "../../config/config.ts";
import { parseNodeName } from "../../base/names.ts";
import { type Address, formatAddress } from "../../net/address.ts";
import { type Carve, createCarve } from "../../net/carve.ts";
import {
  formatPrefix,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import {
  ADVERTISE,
  BRIDGE,
  COOL_DOWN,
  DEFAULT_NETWORK,
  JOIN,
  KEEP_HISTORY,
  LEAK_GRACE,
  LEAK_INTERVAL,
  LISTEN,
  LOG_FORMAT,
  LOG_LEVEL,
  MASQUERADE,
  METRICS,
  NETWORK,
  NODE,
  RECLAIM_AFTER,
  ROUTE_PROTOCOL,
  ROUTES,
  SOCKET_GROUP,
  STATE,
  SUBNET_PREFIX,
} from "./agent_flags.ts";
import {
  checkJoin,
  readSecurity,
  SECURITY_FLAGS,
} from "../framework/tls_flags.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import { SOCKET } from "../framework/client.ts";
import { formatListen } from "../framework/flags.ts";
import type { LogOptions } from "../framework/io.ts";
import { readStore, STORE, STORE_FLAGS } from "./store_flags.ts";

/** What an agent that joins leaves to those that host the registry, and why. */
const NOT_WITH_JOIN = [
  [NETWORK, "the cluster that is joined has its networks"],
  [SUBNET_PREFIX, "the cluster that is joined has its networks"],
  [
    RECLAIM_AFTER,
    "the agents that host the registry remove nodes, set it there",
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

/** How the agent is to run, by its flags. */
export function readConfig(call: Call): AgentConfig {
  refuseWithJoin(call);
  const join = readJoin(call);
  const security = readSecurity(call, join);
  checkJoin(call, { join, flag: JOIN, security });
  return {
    node: readNode(call),
    networks: readNetworks(call),
    stateDir: call.value(STATE),
    socketPath: call.value(SOCKET),
    socketGroup: call.value(SOCKET_GROUP),
    listen: readListen(call),
    metrics: readMetrics(call),
    security,
    store: readStore(call),
    join,
    advertise: readAdvertise(call),
    routes: call.value(ROUTES),
    routeProtocol: call.value(ROUTE_PROTOCOL),
    bridge: call.value(BRIDGE),
    masquerade: call.value(MASQUERADE) ?? false,
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
    if (address.port !== 0 && seen.has(text)) {
      throw call.usage(`${call.originOf(LISTEN)}: "${text}" is given twice`);
    }
    seen.add(text);
  }
  return addresses;
}

function readMetrics(call: Call): ListenAddress[] {
  const addresses = call.values(METRICS);
  // What --listen takes is checked with it.
  const seen = new Set(call.values(LISTEN).map(formatListen));
  for (const address of addresses) {
    const text = formatListen(address);
    if (address.port !== 0 && seen.has(text)) {
      throw call.usage(`${call.originOf(METRICS)}: "${text}" is given twice`);
    }
    seen.add(text);
  }
  return addresses;
}

function refuseWithJoin(call: Call): void {
  if (call.values(JOIN).length === 0) return;
  for (const [flag, why] of NOT_WITH_JOIN) {
    if (call.values<unknown>(flag).length === 0) continue;
    throw call.usage(
      `${call.originOf(flag)} does not go with ${call.originOf(JOIN)}: ` +
        `${why}; remove one of the two`,
    );
  }
  if (typeof call.value(STORE) !== "object") return;
  throw call.usage(
    `${call.originOf(STORE)} does not go with ${call.originOf(JOIN)}: ` +
      "an agent hosts the registry in etcd, or joins those that do; remove one of the two",
  );
}

function readJoin(call: Call): string[] {
  const urls = call.values(JOIN);
  const seen = new Set<string>();
  for (const url of urls) {
    const { origin } = new URL(url);
    if (seen.has(origin)) {
      throw call.usage(`${call.originOf(JOIN)}: "${url}" is given twice`);
    }
    seen.add(origin);
  }
  return urls;
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
        }" are both IPv${family}: give one of each family at most`,
      );
    }
  }
  return addresses;
}
