import type { FoundNamespace } from "../../net/namespace.ts";
import { isObject, JsonReader } from "../../base/json_reader.ts";
import {
  checkContainerId,
  checkInterfaceName,
  checkNetworkName,
  type CniOwner,
} from "./names.ts";

/**
 * A DEL that waits on disk for the agent. The plugin writes one file for each,
 * under a name that starts with QUEUE_TEMPORARY_PREFIX, and renames it.
 */
export interface QueueEntry {
  readonly owner: CniOwner;
  /** Time of the DEL, for the order of the entries alone: clocks jump. */
  readonly requestedAtMs: number;
  /** Path of the network namespace that the DEL named. */
  readonly netns?: string;
  /** The namespace at that path. */
  readonly found?: FoundNamespace;
  /** Boot id of the host. */
  readonly bootId?: string;
  /** Id of the ADD whose allocation it undoes, when it is not a DEL. */
  readonly undoes?: string;
}

/** Largest number of releases that may wait. */
export const QUEUE_LIMIT = 10_000;
/** Start of the name of a file that a plugin has not finished, or never will. */
export const QUEUE_TEMPORARY_PREFIX = ".tmp-";

const FORMAT = 2;
/** Keys of every entry. Version 1 of the format has no others. */
const KEYS = ["version", "owner", "requestedAtMs"];
/** Keys that an entry may have from version 2 on. */
const OPTIONAL_KEYS = ["netns", "found", "bootId", "undoes"];
const NAME = /^\d{13}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json$/;
/** Enough for a path of 4,095 bytes, each of them escaped. */
const MAX_BYTES = 32_768;

/** The name of an entry's file: names sort by time. @param id a UUID */
export function queueFileName(requestedAtMs: number, id: string): string {
  return `${String(requestedAtMs).padStart(13, "0")}-${id}.json`;
}

/** Whether a file of the queue's folder is an entry. */
export function isQueueFileName(name: string): boolean {
  return NAME.test(name);
}

/** The text of an entry's file. */
export function encodeQueueEntry(entry: QueueEntry): string {
  const { owner, requestedAtMs, netns, found, bootId, undoes } = entry;
  const { network, containerId, interfaceName } = owner;
  return JSON.stringify({
    version: FORMAT,
    owner: { network, containerId, interfaceName },
    requestedAtMs,
    netns,
    found,
    bootId,
    undoes,
  }) + "\n";
}

/**
 * Parses the text of an entry's file.
 *
 * @throws {RangeError} when it is not exactly what encodeQueueEntry makes
 */
export function decodeQueueEntry(text: string): QueueEntry {
  const refuse = (what: string, cause?: unknown) =>
    new RangeError(`Cannot read a queued release: ${what}`, { cause });
  if (text.length > MAX_BYTES) throw refuse("it is too long");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse("it is not JSON", cause);
  }
  const keys = isObject(value) && value.version === FORMAT ? OPTIONAL_KEYS : [];
  if (!hasKeys(value, KEYS, keys)) {
    throw refuse("its keys are not version, owner and requestedAtMs");
  }
  const { version, owner, requestedAtMs } = value;
  if (version !== FORMAT && version !== 1) {
    throw refuse(`its version is not 1 or ${FORMAT}`);
  }
  if (!hasKeys(owner, ["network", "containerId", "interfaceName"])) {
    throw refuse("its owner is not network, containerId and interfaceName");
  }
  if (!Number.isSafeInteger(requestedAtMs) || requestedAtMs as number < 0) {
    throw refuse("requestedAtMs is not a time");
  }
  const parsed = {
    network: readName(owner.network, checkNetworkName),
    containerId: readName(owner.containerId, checkContainerId),
    interfaceName: readName(owner.interfaceName, checkInterfaceName),
  };
  const reader = new JsonReader(value, {
    invalid: (path, why) => refuse(`${path}: ${why}`),
  });
  const netns = reader.optionalText("netns");
  const bootId = reader.optionalText("bootId");
  const undoes = reader.optionalText("undoes");
  const found = readFound(reader.optionalObject("found"));
  return {
    owner: parsed,
    requestedAtMs: requestedAtMs as number,
    ...(netns !== undefined && { netns }),
    ...(found && { found }),
    ...(bootId !== undefined && { bootId }),
    ...(undoes !== undefined && { undoes }),
  };

  function readName(
    name: unknown,
    check: (text: string) => string | undefined,
  ): string {
    const problem = typeof name === "string" ? check(name) : "it is not text";
    if (problem === undefined) return name as string;
    throw refuse(`a name of its owner: ${problem}`);
  }
}

function readFound(found: JsonReader | undefined): FoundNamespace | undefined {
  if (!found) return undefined;
  const kind = found.text("kind");
  switch (kind) {
    case "gone":
    case "unknown":
      return { kind };
    case "there": {
      const id = found.object("id");
      return {
        kind,
        id: { inode: id.count("inode"), since: id.text("since") },
      };
    }
    default:
      throw found.invalid("kind", "it is none of there, gone and unknown");
  }
}

function hasKeys<K extends string>(
  value: unknown,
  keys: readonly K[],
  optional: readonly string[] = [],
): value is Readonly<Record<K, unknown>> {
  return isObject(value) && keys.every((key) => Object.hasOwn(value, key)) &&
    Object.keys(value).every((key) =>
      keys.includes(key as K) || optional.includes(key)
    );
}

/** The link that an agent keeps beside its socket: it leads to the queue in its state folder. */
export function queueLink(socketPath: string): string {
  return `${socketPath}.queue`;
}
