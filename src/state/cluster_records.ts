import type {
  ClusterChange,
  ClusterConfig,
  NodeRecord,
  RouteRecord,
  SubnetRecord,
} from "../registry/plan/cluster_state.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import { createCarve } from "../net/carve.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../net/prefix.ts";
import type { Entry, JsonValue, Key } from "../store/store.ts";
import { readRecord } from "./address_records.ts";
import type { Writes } from "../ledger/model.ts";

/** How the cluster is stored: keys, and values as JSON. */

/** Prefix of everything about the cluster. */
export const CLUSTER_PREFIX: Key = ["cluster"];
/** Key of the counter that every change of the cluster raises. */
export const REVISION_KEY: Key = ["cluster", "revision"];
const CONFIG_KEY: Key = ["cluster", "config"];

/** The writes of a change of the cluster. */
export function clusterWrites(change: ClusterChange): Writes {
  switch (change.kind) {
    case "config":
      return { puts: [{ key: CONFIG_KEY, value: configValue(change.config) }] };
    case "node":
      return putOrDelete(
        ["cluster", "node", change.name],
        change.record && nodeValue(change.record),
      );
    case "subnet":
      return putOrDelete(
        ["cluster", "subnet", formatPrefix(change.subnet)],
        change.record && { ...change.record },
      );
    case "route":
      return putOrDelete(
        ["cluster", "route", formatPrefix(change.destination)],
        change.record && routeValue(change.record),
      );
  }
}

/**
 * Reads an entry below {@linkcode CLUSTER_PREFIX} as the change that makes it
 * so, undefined for the revision.
 *
 * @throws {NetError} `failed_precondition` when it is damaged or not known
 */
export function readClusterEntry(entry: Entry): ClusterChange | undefined {
  const [, kind, name] = entry.key;
  return readRecord(entry, () => {
    switch (kind) {
      case "revision":
        return undefined;
      case "config":
        return { kind, config: readConfig(entry.value) };
      case "node":
        return {
          kind,
          name: String(name),
          record: readNode(String(name), entry.value),
        };
      case "subnet":
        return {
          kind,
          subnet: parsePrefix(String(name)),
          record: readSubnet(entry.value),
        };
      case "route": {
        const record = readRoute(String(name), entry.value);
        return { kind, destination: record.destination, record };
      }
      default:
        throw new TypeError(`unknown kind ${JSON.stringify(kind)}`);
    }
  });
}

/** Reads the deletion of a key below {@linkcode CLUSTER_PREFIX} as the change that made it. */
export function readClusterRemoval(key: Key): ClusterChange | undefined {
  const [, kind, part] = key;
  const name = String(part);
  switch (kind) {
    case "node":
      return { kind, name, record: undefined };
    case "subnet":
      return { kind, subnet: parsePrefix(name), record: undefined };
    case "route":
      return { kind, destination: parsePrefix(name), record: undefined };
    default:
      return undefined;
  }
}

function putOrDelete(key: Key, value: JsonValue | undefined): Writes {
  return value === undefined ? { deletes: [key] } : { puts: [{ key, value }] };
}

interface ConfigValue {
  readonly clusterId: string;
  readonly networks: readonly {
    readonly cidr: string;
    readonly subnetPrefixLength: number;
  }[];
  readonly createdAtMs: number;
}

/** A cluster's configuration as it is stored. */
export function configValue(config: ClusterConfig): JsonValue {
  return {
    clusterId: config.clusterId,
    networks: config.networks.map((carve) => ({
      cidr: formatPrefix(carve.network),
      subnetPrefixLength: carve.subnetPrefixLength,
    })),
    createdAtMs: config.createdAtMs,
  } satisfies ConfigValue;
}

/** Reads what {@linkcode configValue} made. */
export function readConfig(value: JsonValue): ClusterConfig {
  const { clusterId, networks, createdAtMs } = value as unknown as ConfigValue;
  return {
    clusterId: text(clusterId),
    networks: networks.map((n) =>
      createCarve(parsePrefix(n.cidr), n.subnetPrefixLength)
    ),
    createdAtMs: time(createdAtMs),
  };
}

interface NodeValue {
  readonly instanceId: string;
  readonly advertised: readonly string[];
  readonly apiUrl: string;
  readonly subnets: readonly string[];
  readonly localPrefixes: readonly {
    readonly cidr: string;
    readonly device: string;
  }[];
  readonly joinedAtMs: number;
}

/** A node as it is stored, without its name. */
export function nodeValue(node: NodeRecord): JsonValue {
  return {
    instanceId: node.instanceId,
    advertised: node.advertised.map(formatAddress),
    apiUrl: node.apiUrl,
    subnets: node.subnets.map(formatPrefix),
    localPrefixes: node.localPrefixes.map((local) => ({
      cidr: formatPrefix(local.prefix),
      device: local.device,
    })),
    joinedAtMs: node.joinedAtMs,
  } satisfies NodeValue;
}

/** Reads what {@linkcode nodeValue} made. */
export function readNode(name: string, value: JsonValue): NodeRecord {
  const { subnets, localPrefixes, joinedAtMs, ...rest } =
    value as unknown as NodeValue;
  return {
    name,
    instanceId: text(rest.instanceId),
    advertised: rest.advertised.map(parseAddress),
    apiUrl: text(rest.apiUrl),
    subnets: subnets.map((cidr): Prefix => parsePrefix(cidr)),
    localPrefixes: localPrefixes.map((local) => ({
      prefix: parsePrefix(local.cidr),
      device: text(local.device),
    })),
    joinedAtMs: time(joinedAtMs),
  };
}

function readSubnet(value: JsonValue): SubnetRecord {
  const { state, node, sinceMs, reason } = value as {
    state: string;
    node: string;
    sinceMs: number;
    reason?: string;
  };
  const shared = { node: text(node), sinceMs: time(sinceMs) };
  switch (state) {
    case "owned":
    case "released":
      return { state, ...shared };
    case "reserved":
      return { state, ...shared, reason: text(reason) };
    default:
      throw new TypeError(`unknown state ${JSON.stringify(state)}`);
  }
}

/** An extra route as it is stored. */
export function routeValue(route: RouteRecord): JsonValue {
  return { target: formatAddress(route.target), addedAtMs: route.addedAtMs };
}

/** Reads what {@linkcode routeValue} made. */
export function readRoute(destination: string, value: JsonValue): RouteRecord {
  const { target, addedAtMs } = value as { target: string; addedAtMs: number };
  return {
    destination: parsePrefix(destination),
    target: parseAddress(target),
    addedAtMs: time(addedAtMs),
  };
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("no text");
  return value;
}

function time(value: unknown): number {
  if (typeof value !== "number") throw new TypeError("no time");
  return value;
}
