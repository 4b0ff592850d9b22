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
import { type Flag, refuseTogether } from "../framework/flag.ts";
import type { LogOptions } from "../framework/io.ts";
import { formatListen } from "../framework/parsers.ts";
import { SOCKET } from "../framework/target.ts";
import { readStore, STORE, STORE_FLAGS } from "./store_flags.ts";

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
  const join = readJoin(call);
  const security = readSecurity(call, join);
  checkJoin(call, { join, flag: JOIN, security });
  return {
    node: readNode(call),
    networks: readNetworks(call),
    stateDir: call.value(STATE),
    socketPath: call.value(SOCKET),
    socketGroup: call.value(SOCKET_GROUP),
    listen: readDistinct(call, LISTEN, []),
    metrics: readDistinct(call, METRICS, call.values(LISTEN)),
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

/** Reads addresses to listen on. @param taken those of another flag */
function readDistinct(
  call: Call,
  flag: Flag<ListenAddress>,
  taken: readonly ListenAddress[],
): ListenAddress[] {
  const addresses = call.values(flag);
  const seen = new Set(taken.map(formatListen));
  for (const address of addresses) {
    const text = formatListen(address);
    if (address.port !== 0 && seen.has(text)) {
      throw call.usage(`${call.originOf(flag)}: "${text}" is given twice`);
    }
    seen.add(text);
  }
  return addresses;
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
        }" are both IPv${family}: give at most one per family`,
      );
    }
  }
  return addresses;
}

/** Where an agent serves, for its greeting. */
export interface GreetingOptions {
  /** The command that runs the program, such as `stellar-net`. */
  readonly program: string;
  readonly node: string;
  readonly socketPath: string;
  /** TCP addresses that accept plain text; the example uses the first. */
  readonly plain: readonly string[];
  /** TCP addresses that it listens on. */
  readonly addresses: readonly string[];
}

/** Says where an agent serves, and what to try next. */
export function formatGreeting(options: GreetingOptions): string {
  const { program, node, socketPath, addresses, plain } = options;
  const example = { node, id: "web2" };
  const lines = [
    `Node "${node}" serves on ${[socketPath, ...addresses].join(" and ")}`,
    "Try next, in another terminal:",
    `  ${program} ip allocate web1`,
    `  ${program} status`,
    ...plain.slice(0, 1).map((address) =>
      `  curl -H 'content-type: application/json' -d '${
        JSON.stringify(example)
      }' http://${address}/stellar.services.network.v1.Network/AllocateIP`
    ),
  ];
  return `${lines.join("\n")}\n`;
}
