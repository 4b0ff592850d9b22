import type {
  ClusterChange,
  ClusterConfig,
  NodeRecord,
  RouteRecord,
  SubnetRecord,
} from "../registry/plan/cluster_state.ts";
import { formatAddress, parseAddress } from "../net/address.ts";
import { createCarve } from "../net/carve.ts";
import { formatPrefix, parsePrefix } from "../net/prefix.ts";
import type { Entry, JsonValue, Key } from "../store/store.ts";
import { readEntryValue } from "./read_entry.ts";
import { readRecord } from "../base/json_reader.ts";
import type { Writes } from "../ledger/model.ts";

// Keys and values of the cluster.

/** Prefix of everything about the cluster. */
export const CLUSTER_PREFIX: Key = ["cluster"];
/** Key of the counter that every change of the cluster raises. */
export const REVISION_KEY: Key = ["cluster", "revision"];
const CONFIG_KEY: Key = ["cluster", "config"];

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
  return readEntryValue(entry, (value) => {
    switch (kind) {
      case "revision":
        return undefined;
      case "config":
        return { kind, config: readConfig(value) };
      case "node":
        return {
          kind,
          name: String(name),
          record: readNode(String(name), value),
        };
      case "subnet":
        return {
          kind,
          subnet: parsePrefix(String(name)),
          record: readSubnet(value),
        };
      case "route": {
        const record = readRoute(String(name), value);
        return { kind, destination: record.destination, record };
      }
      default:
        throw new RangeError(`unknown kind ${JSON.stringify(kind)}`);
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

/** A cluster's configuration as it is stored. */
export function configValue(config: ClusterConfig): JsonValue {
  return {
    clusterId: config.clusterId,
    networks: config.networks.map((carve) => ({
      cidr: formatPrefix(carve.network),
      subnetPrefixLength: carve.subnetPrefixLength,
    })),
    createdAtMs: config.createdAtMs,
  };
}

/** Reads the value that {@linkcode configValue} made. @throws {RangeError} */
export function readConfig(value: JsonValue): ClusterConfig {
  const record = readRecord("configuration of the cluster", value);
  return {
    clusterId: record.text("clusterId"),
    networks: record.objects("networks").map((network) =>
      createCarve(
        parsePrefix(network.text("cidr")),
        network.count("subnetPrefixLength"),
      )
    ),
    createdAtMs: record.count("createdAtMs"),
  };
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
  };
}

/** Reads the value that {@linkcode nodeValue} made. @throws {RangeError} */
export function readNode(name: string, value: JsonValue): NodeRecord {
  const record = readRecord("node", value);
  return {
    name,
    instanceId: record.text("instanceId"),
    advertised: record.texts("advertised").map(parseAddress),
    apiUrl: record.text("apiUrl"),
    subnets: record.texts("subnets").map(parsePrefix),
    localPrefixes: record.objects("localPrefixes").map((local) => ({
      prefix: parsePrefix(local.text("cidr")),
      device: local.text("device"),
    })),
    joinedAtMs: record.count("joinedAtMs"),
  };
}

function readSubnet(value: JsonValue): SubnetRecord {
  const record = readRecord("subnet", value);
  const state = record.text("state");
  const shared = {
    node: record.text("node"),
    sinceMs: record.count("sinceMs"),
  };
  switch (state) {
    case "owned":
    case "released":
      return { state, ...shared };
    case "reserved": {
      const reportedBy = record.optionalText("reportedBy");
      const lastNode = record.optionalText("lastNode");
      return {
        state,
        ...shared,
        reason: record.text("reason"),
        ...reportedBy !== undefined && { reportedBy },
        ...lastNode !== undefined && { lastNode },
      };
    }
    default:
      throw record.invalid("state", `unknown state ${JSON.stringify(state)}`);
  }
}

/** An extra route as it is stored. */
export function routeValue(route: RouteRecord): JsonValue {
  return { target: formatAddress(route.target), addedAtMs: route.addedAtMs };
}

/** Reads the value that {@linkcode routeValue} made. @throws {RangeError} */
export function readRoute(destination: string, value: JsonValue): RouteRecord {
  const record = readRecord("route", value);
  return {
    destination: parsePrefix(destination),
    target: parseAddress(record.text("target")),
    addedAtMs: record.count("addedAtMs"),
  };
}
