import { isObject } from "../../base/json_reader.ts";
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
  /** Time of the DEL: it does not concern a later allocation of its owner. */
  readonly requestedAtMs: number;
}

/** Largest number of releases that may wait. */
export const QUEUE_LIMIT = 10_000;
/** Start of the name of a file that a plugin has not finished, or never will. */
export const QUEUE_TEMPORARY_PREFIX = ".tmp-";

const FORMAT = 1;
const NAME = /^\d{13}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json$/;
const MAX_BYTES = 4096;

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
  const { owner: { network, containerId, interfaceName }, requestedAtMs } =
    entry;
  return JSON.stringify({
    version: FORMAT,
    owner: { network, containerId, interfaceName },
    requestedAtMs,
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
  if (!hasKeys(value, ["version", "owner", "requestedAtMs"])) {
    throw refuse("its keys are not version, owner and requestedAtMs");
  }
  const { version, owner, requestedAtMs } = value;
  if (version !== FORMAT) throw refuse(`its version is not ${FORMAT}`);
  if (!hasKeys(owner, ["network", "containerId", "interfaceName"])) {
    throw refuse("its owner is not network, containerId and interfaceName");
  }
  const parsed = {
    network: readName(owner.network, checkNetworkName),
    containerId: readName(owner.containerId, checkContainerId),
    interfaceName: readName(owner.interfaceName, checkInterfaceName),
  };
  if (!Number.isSafeInteger(requestedAtMs) || requestedAtMs as number < 0) {
    throw refuse("requestedAtMs is not a time");
  }
  return { owner: parsed, requestedAtMs: requestedAtMs as number };

  function readName(
    name: unknown,
    check: (text: string) => string | undefined,
  ): string {
    const problem = typeof name === "string" ? check(name) : "it is no text";
    if (problem === undefined) return name as string;
    throw refuse(`a name of its owner: ${problem}`);
  }
}

function hasKeys<K extends string>(
  value: unknown,
  keys: readonly K[],
): value is Readonly<Record<K, unknown>> {
  return isObject(value) && Object.keys(value).length === keys.length &&
    keys.every((key) => Object.hasOwn(value, key));
}

/** The link that an agent keeps beside its socket: it leads to the queue in its state folder. */
export function queueLink(socketPath: string): string {
  return `${socketPath}.queue`;
}
