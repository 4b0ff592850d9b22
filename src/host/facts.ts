import type {
  AgentConfig,
  ListenAddress,
  RouteMode,
} from "../config/config.ts";
import {
  type Address,
  type Family,
  formatAddress,
  hostOf,
  isLoopback,
  parseAddress,
} from "../net/address.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../net/prefix.ts";
import type { LocalPrefix } from "../registry/plan/cluster_state.ts";
import type { HostNetwork } from "./network.ts";
import {
  chooseAdvertised,
  holds,
  type HostInterfaces,
} from "../routes/plan/uplink.ts";
import type { HostFacts } from "../member/member.ts";

/**
 * The prefixes that a cluster's networks are usually in: private use, shared
 * address space, benchmarking and unique local addresses (RFC 6890). A host
 * that has not joined yet does not know the networks.
 */
const USUAL_NETWORKS = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
  .concat("100.64.0.0/10", "198.18.0.0/15", "fc00::/7")
  .map(parsePrefix);

/** Options of {@linkcode findFacts}. */
export interface HostFactsOptions {
  readonly config: Pick<AgentConfig, "advertise" | "join" | "security">;
  readonly network: Pick<HostNetwork, "readInterfaces" | "sourceToward">;
  /** Reads the prefixes of this host's interfaces, and of its routes within some prefixes. */
  readonly readPrefixes: (
    within: readonly Prefix[],
  ) => Promise<readonly LocalPrefix[]>;
  /** The addresses that this host advertised the last time. */
  readonly previous: readonly Address[];
  /** The cluster's networks; empty before they are known. */
  readonly networks: readonly Prefix[];
}

/** The facts of a host, and warnings for the operator. */
export interface FoundFacts {
  readonly facts: HostFacts;
  readonly interfaces: HostInterfaces;
  readonly warnings: readonly string[];
}

/**
 * Finds the facts that this host reports to the registry.
 *
 * @param listening where the agent listens
 * @throws {NetError} `unavailable` when `ip` is missing or fails
 */
export async function findFacts(
  options: HostFactsOptions,
  listening: readonly ListenAddress[],
): Promise<FoundFacts> {
  const { config, network, networks, readPrefixes } = options;
  const interfaces = await network.readInterfaces();
  const advertised = config.advertise.length > 0
    ? config.advertise
    : chooseAdvertised(interfaces, {
      previous: options.previous,
      towardRegistry: await sourcesToward(config.join, network),
      listening: hostAddresses(listening),
    });
  return {
    interfaces,
    facts: {
      advertised,
      apiUrl: apiUrlOf(listening, advertised, config),
      localPrefixes: await readPrefixes(
        networks.length > 0 ? networks : USUAL_NETWORKS,
      ),
    },
    warnings: [
      ...missing(config.advertise, interfaces).map((address) =>
        `--advertise: no interface of this host has ${
          formatAddress(address)
        }; packets to its containers are lost until one has`
      ),
      ...missing(hostAddresses(listening), interfaces).map((address) =>
        `--listen: no interface of this host has ${
          formatAddress(address)
        }; no other host can call this agent there until one has`
      ),
    ],
  };
}

/**
 * The URL of an agent's API for other hosts, at the first address that is not
 * loopback. Empty for none.
 */
export function apiUrlOf(
  listening: readonly ListenAddress[],
  advertised: readonly Address[],
  config: Pick<AgentConfig, "security">,
): string {
  for (const { hostname, port } of listening) {
    if (isLoopback(hostname)) continue;
    const address = parseAddress(hostname);
    const shown = address.value === 0n
      ? advertised.find(({ family }) => family === address.family)
      : address;
    if (!shown) continue;
    const text = formatAddress(shown);
    const scheme = isSecure(config, hostname) ? "https" : "http";
    return `${scheme}://${shown.family === 6 ? `[${text}]` : text}:${port}`;
  }
  return "";
}

/**
 * The addresses at which other hosts reach an agent's API: those on which it
 * listens and those that it advertises. Empty when it listens only on loopback.
 */
export function reachedAddresses(
  listening: readonly ListenAddress[],
  advertised: readonly Address[],
): Address[] {
  const reached = listening.filter(({ hostname }) => !isLoopback(hostname))
    .map(({ hostname }) => parseAddress(hostname));
  if (reached.length === 0) return [];
  const all = [...reached.filter(({ value }) => value !== 0n), ...advertised];
  return [...new Map(all.map((a) => [formatAddress(a), a])).values()];
}

/** Whether an agent speaks TLS where it listens: it does where other hosts reach it, but in labs. */
export function isSecure(
  { security }: Pick<AgentConfig, "security">,
  hostname: string,
): boolean {
  return security.kind !== "none" && !isLoopback(hostname);
}

/** The addresses of listeners, without loopback and wildcards. */
function hostAddresses(listening: readonly ListenAddress[]): Address[] {
  return listening.filter(({ hostname }) => !isLoopback(hostname))
    .map(({ hostname }) => parseAddress(hostname))
    .filter(({ value }) => value !== 0n);
}

function missing(
  addresses: readonly Address[],
  interfaces: HostInterfaces,
): Address[] {
  return addresses.filter((address) => !holds(interfaces, address));
}

/** This host's addresses from which the kernel sends to registries; names are not looked up. */
async function sourcesToward(
  urls: readonly string[],
  network: Pick<HostNetwork, "sourceToward">,
): Promise<Address[]> {
  const registries = urls.flatMap((url) => addressIn(url) ?? []);
  const sources = await Promise.all(
    registries.map((address) => network.sourceToward(address)),
  );
  return sources.flatMap((source) => source ?? []);
}

/** The address in a URL; undefined for a name. */
export function addressIn(url: string): Address | undefined {
  try {
    return parseAddress(hostOf(url));
  } catch {
    // It has a name.
    return undefined;
  }
}

/** A node's settings that an operator may have to correct. */
export interface NodeOnHost {
  readonly config: Pick<AgentConfig, "bridge" | "masquerade">;
  readonly mode: RouteMode;
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** The addresses that other hosts are told to route through. */
  readonly advertised: readonly Address[];
  /** Whether there are other nodes. */
  readonly hasPeers: boolean;
}

/** Warnings for flags that contradict each other, and for subnets to which no other host has a route. */
export function hostWarnings(node: NodeOnHost): string[] {
  const { config, mode, subnets, advertised, hasPeers } = node;
  const idle = [
    ...config.bridge === undefined ? [] : ["--bridge"],
    ...config.masquerade ? ["--masquerade"] : [],
  ];
  const unreached = subnets.filter(({ family }) =>
    hasPeers && !advertised.some((address) => address.family === family)
  );
  return [
    ...mode === "plan" && idle.length > 0
      ? [
        `--routes plan: nothing is changed on this host, so that ${
          idle.join(" and ")
        } ${idle.length > 1 ? "do" : "does"} nothing`,
      ]
      : [],
    ...unreached.map((subnet) =>
      `no other host has a route to ${
        formatPrefix(subnet)
      }: this node advertises no ${
        familyName(subnet.family)
      } address; name one of its own with --advertise`
    ),
  ];
}

/** A difference of clocks, in ms, that an operator should know of. */
const CLOCK_OFFSET_MS = 5_000;

/**
 * The warning about this host's clock, if it needs one.
 *
 * @param offsetMs this clock less the registry's; undefined: not known
 */
export function clockWarnings(offsetMs: number | undefined): string[] {
  if (offsetMs === undefined || Math.abs(offsetMs) < CLOCK_OFFSET_MS) return [];
  const seconds = Math.round(Math.abs(offsetMs) / 1000);
  return [
    `this host's clock is ${seconds} s ${
      offsetMs > 0 ? "ahead of" : "behind"
    } the registry's: synchronise both, for certificates and logs go by them`,
  ];
}

function familyName(family: Family): string {
  return `IPv${family}`;
}
