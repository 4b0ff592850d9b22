import { readDurationMs } from "../../base/duration.ts";
import {
  describe,
  invalidKey,
  type JsonObject,
  readObject,
  readString,
  requireValue,
} from "./json.ts";
import { checkNetworkName } from "./owner.ts";
import { checkSocketPath, isAbsolutePath } from "./paths.ts";
import { type CniVersion, isAtLeast, parseVersion } from "./version.ts";
import { type Verb, VERBS } from "./environment.ts";
import { CniError } from "./errors.ts";

/** Where the agent listens unless the configuration or the environment says otherwise. */
export const DEFAULT_SOCKET = "/run/stellar-net/agent.sock";
/** How long a call may take unless the configuration says otherwise. */
export const DEFAULT_TIMEOUT_MS = 10_000;

const MAX_TIMEOUT_MS = 3_600_000;

/** What every command reads of the configuration. */
export interface NetworkConfig {
  readonly cniVersion: CniVersion;
  /** Name of the network. */
  readonly name: string;
  readonly ipam: IpamConfig;
}

/** Whom to ask for addresses: an agent on this host, or a service that speaks Stellar's API. */
export type IpamConfig =
  | {
    readonly kind: "agent";
    /** Undefined: the configuration names none. */
    readonly socketPath: string | undefined;
    /** Folder for releases that wait for the agent. Undefined: where the agent looks. */
    readonly queueDir: string | undefined;
    readonly timeoutMs: number;
  }
  | {
    readonly kind: "stellar";
    readonly node: string;
    /** `host:port` of the service. */
    readonly peer: string;
    readonly timeoutMs: number;
  };

/**
 * Parses what every command needs. Keys that are not known are left alone: the
 * whole configuration of the calling plugin is passed.
 *
 * @throws {CniError} `incompatible_version` or `invalid_config`
 */
export function parseConfig(config: JsonObject, verb: Verb): NetworkConfig {
  const cniVersion = parseVersion(config.cniVersion);
  const { since } = VERBS[verb];
  if (!isAtLeast(cniVersion, since)) {
    throw new CniError(
      "incompatible_version",
      `Cannot ${verb}: "cniVersion" is "${cniVersion}", and ${since} is the first that has it`,
    );
  }
  const name = requireValue(readString(config.name, "name"), "name");
  const problem = checkNetworkName(name);
  if (problem !== undefined) throw invalidKey("name", problem);
  return { cniVersion, name, ipam: parseIpam(config.ipam) };
}

function parseIpam(value: unknown): IpamConfig {
  const ipam = requireValue(readObject(value, "ipam"), "ipam");
  const type = requireValue(readString(ipam.type, "ipam.type"), "ipam.type");
  const timeoutMs = parseTimeout(ipam.timeout);
  switch (type) {
    case "stellar-net": {
      const socket = readString(ipam.socket, "ipam.socket");
      const problem = socket === undefined
        ? undefined
        : checkSocketPath(socket);
      if (problem !== undefined) throw invalidKey("ipam.socket", problem);
      const queueDir = readString(ipam.queue, "ipam.queue");
      if (queueDir !== undefined && !isAbsolutePath(queueDir)) {
        throw invalidKey(
          "ipam.queue",
          `${describe(queueDir)} is not an absolute path`,
        );
      }
      return { kind: "agent", socketPath: socket, queueDir, timeoutMs };
    }
    case "stellar-cni-ipam":
      return { kind: "stellar", ...parsePeer(ipam), timeoutMs };
    default:
      throw invalidKey(
        "ipam.type",
        `${describe(type)} is neither "stellar-net" nor "stellar-cni-ipam"`,
      );
  }
}

function parsePeer(ipam: JsonObject): { node: string; peer: string } {
  const missing = ["node_name", "peer_addr"]
    .filter((key) => ipam[key] === undefined || ipam[key] === "");
  if (missing.length > 0) {
    throw new CniError(
      "invalid_config",
      `Cannot ask Stellar's service: ${
        missing.map((key) => `"ipam.${key}"`).join(" and ")
      } ${missing.length === 1 ? "is" : "are"} missing`,
    );
  }
  const node = requireValue(
    readString(ipam.node_name, "ipam.node_name"),
    "ipam.node_name",
  );
  const peer = requireValue(
    readString(ipam.peer_addr, "ipam.peer_addr"),
    "ipam.peer_addr",
  );
  const port = /^(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):([1-9]\d{0,4})$/.exec(peer)
    ?.[1];
  if (port === undefined || Number(port) > 65_535) {
    throw invalidKey(
      "ipam.peer_addr",
      `${describe(peer)} is not a host and a port, such as "10.0.1.70:9000"`,
    );
  }
  return { node, peer };
}

function parseTimeout(value: unknown): number {
  const text = readString(value, "ipam.timeout");
  if (text === undefined) return DEFAULT_TIMEOUT_MS;
  const ms = readDurationMs(text) ?? 0;
  if (ms > 0 && ms <= MAX_TIMEOUT_MS) return ms;
  throw invalidKey(
    "ipam.timeout",
    `${
      describe(text)
    } is not a time: write a whole number and a unit (ms, s or m), such as "10s"; the most is "60m"`,
  );
}
