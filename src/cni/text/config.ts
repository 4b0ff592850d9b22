import { readDurationMs } from "../../base/duration.ts";
import type { JsonObject, JsonReader } from "../../base/json_reader.ts";
import { describe, readConfig } from "./json.ts";
import {
  checkContainerId,
  checkInterfaceName,
  checkNetworkName,
  checkSocketPath,
  isAbsolutePath,
} from "./names.ts";
import { type CniVersion, isAtLeast, parseVersion } from "./version.ts";
import { type Verb, VERBS } from "./environment.ts";
import { CniError } from "./errors.ts";

/** Where the agent listens unless the configuration or the environment says otherwise. */
export const DEFAULT_SOCKET = "/run/stellar-net/agent.sock";
/** Time limit of a call, unless the configuration sets another. */
export const DEFAULT_TIMEOUT_MS = 10_000;

const VALID_ATTACHMENTS = "cni.dev/valid-attachments";
const MAX_TIMEOUT_MS = 3_600_000;

/** The part of the configuration that every command reads. */
export interface NetworkConfig {
  readonly cniVersion: CniVersion;
  /** Name of the network. */
  readonly name: string;
  readonly ipam: IpamConfig;
}

/** Where addresses come from: an agent on this host, or a service that speaks Stellar's API. */
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

/** A container's end of a network that still exists. */
export interface Attachment {
  readonly containerId: string;
  readonly interfaceName: string;
}

/**
 * Parses the part that every command needs. It ignores unknown keys, because
 * the calling plugin passes its whole configuration on.
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
  const reader = readConfig(config);
  return {
    cniVersion,
    name: checkedText(reader, "name", checkNetworkName),
    ipam: parseIpam(reader.object("ipam")),
  };
}

/**
 * Reads the attachments that GC must keep. Undefined: the key is missing or
 * null, so nothing may be released.
 *
 * @throws {CniError} `invalid_config`: a list that is not valid must not cost
 * a container its address
 */
export function parseValidAttachments(
  config: JsonObject,
): readonly Attachment[] | undefined {
  return readConfig(config).optionalObjects(VALID_ATTACHMENTS)?.map((item) => ({
    containerId: checkedText(item, "containerID", checkContainerId),
    interfaceName: checkedText(item, "ifname", checkInterfaceName),
  }));
}

function parseIpam(ipam: JsonReader): IpamConfig {
  const type = ipam.text("type");
  const timeoutMs = parseTimeout(ipam);
  switch (type) {
    case "stellar-net": {
      const socketPath = ipam.optionalText("socket");
      if (socketPath !== undefined) {
        checkedText(ipam, "socket", checkSocketPath);
      }
      const queueDir = ipam.optionalText("queue");
      if (queueDir !== undefined && !isAbsolutePath(queueDir)) {
        throw ipam.invalid(
          "queue",
          `${describe(queueDir)} is not an absolute path`,
        );
      }
      return { kind: "agent", socketPath, queueDir, timeoutMs };
    }
    case "stellar-cni-ipam":
      return { kind: "stellar", ...parsePeer(ipam), timeoutMs };
    default:
      throw ipam.invalid(
        "type",
        `${describe(type)} is neither "stellar-net" nor "stellar-cni-ipam"`,
      );
  }
}

function parsePeer(ipam: JsonReader): { node: string; peer: string } {
  const node = ipam.optionalText("node_name") ?? "";
  const peer = ipam.optionalText("peer_addr") ?? "";
  const missing = [
    ...node === "" ? ['"ipam.node_name"'] : [],
    ...peer === "" ? ['"ipam.peer_addr"'] : [],
  ];
  if (missing.length > 0) {
    throw new CniError(
      "invalid_config",
      `Cannot ask Stellar's service: ${missing.join(" and ")} ${
        missing.length === 1 ? "is" : "are"
      } missing`,
    );
  }
  const port = /^(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):([1-9]\d{0,4})$/.exec(peer)
    ?.[1];
  if (port === undefined || Number(port) > 65_535) {
    throw ipam.invalid(
      "peer_addr",
      `${describe(peer)} is not a host and a port, such as "10.0.1.70:9000"`,
    );
  }
  return { node, peer };
}

function parseTimeout(ipam: JsonReader): number {
  const text = ipam.optionalText("timeout");
  if (text === undefined) return DEFAULT_TIMEOUT_MS;
  const ms = readDurationMs(text) ?? 0;
  if (ms > 0 && ms <= MAX_TIMEOUT_MS) return ms;
  throw ipam.invalid(
    "timeout",
    `${
      describe(text)
    } is not a time: write a whole number and a unit (ms, s or m), such as "10s"; the most is "60m"`,
  );
}

function checkedText(
  reader: JsonReader,
  key: string,
  check: (text: string) => string | undefined,
): string {
  const text = reader.text(key);
  const problem = check(text);
  if (problem === undefined) return text;
  throw reader.invalid(key, problem);
}
