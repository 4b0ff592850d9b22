import { Buffer } from "node:buffer";
import { NetError } from "../../base/error.ts";
import {
  type Change,
  checkCommit,
  checkKey,
  checkLimit,
  checkPrefix,
  type Commit,
  encodeValue,
  type Entry,
  foreignVersion,
  formatKey,
  type JsonValue,
  type Key,
  type StoreLimits,
  sum,
} from "../store.ts";

/**
 * The limits of a commit to Deno KV, as measured with Deno 2.9.
 *
 * The engine counts the keys of puts twice and allows 819,200 bytes; every
 * commit within `maxCommitBytes` stays within that.
 */
export const DENO_KV_LIMITS: StoreLimits = {
  maxMutations: 1000,
  maxChecks: 100,
  maxValueBytes: 65_536,
  maxPutKeyBytes: 81_920,
  maxCommitBytes: 819_200 - 81_920,
};

/** Most bytes of one key as the engine encodes it. */
export const MAX_KEY_BYTES = 2048;

const VERSION = /^[0-9a-f]{20}$/;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A commit within the limits, in the engine's terms. */
export interface EncodedCommit {
  readonly checks: readonly Deno.AtomicCheck[];
  readonly puts: readonly { readonly key: Key; readonly value: Uint8Array }[];
  readonly deletes: readonly Key[];
}

/**
 * Encodes a commit.
 *
 * @throws {RangeError} when it exceeds the limits, a key, version or value is
 * invalid (`null` would look like a deletion), or a key is written twice; the
 * message names the key
 */
export function encodeCommit(commit: Commit): EncodedCommit {
  const { checks = [], puts = [], deletes = [] } = commit;
  const { maxPutKeyBytes, maxCommitBytes, maxValueBytes } = DENO_KV_LIMITS;
  checkCommit(commit, DENO_KV_LIMITS);
  const putKeyBytes = sum(puts.map((put) => keyBytes(put.key)));
  const otherKeyBytes = sum(checks.map((check) => keyBytes(check.key))) +
    sum(deletes.map(keyBytes));
  checkLimit("the bytes of the keys it puts", putKeyBytes, maxPutKeyBytes);
  const encoded = {
    checks: checks.map(encodeCheck),
    puts: puts.map((put) => ({
      key: [...put.key],
      value: encodeValue(put, maxValueBytes),
    })),
    deletes: deletes.map((key) => [...key]),
  };
  const valueBytes = sum(encoded.puts.map((put) => put.value.length));
  checkLimit(
    "the bytes of its keys and values",
    putKeyBytes + otherKeyBytes + valueBytes,
    maxCommitBytes,
  );
  return encoded;
}

export function changesOf(commit: EncodedCommit, version: string): Change[] {
  return [
    ...commit.puts.map(({ key, value }) => ({
      key,
      value: JSON.parse(decoder.decode(value)) as JsonValue,
      version,
    })),
    ...commit.deletes.map((key) => ({ key, value: null, version })),
  ];
}

/**
 * Decodes an entry of the engine.
 *
 * @param place names the state in messages
 * @throws {NetError} `failed_precondition` when it is damaged, or another
 * program wrote it
 */
export function decodeEntry(
  entry: Deno.KvEntry<unknown>,
  place: string,
): Entry {
  try {
    const key = entry.key as Key;
    checkKey(key);
    if (!(entry.value instanceof Uint8Array)) {
      throw new TypeError("The value is not made of bytes");
    }
    const value = JSON.parse(decoder.decode(entry.value)) as JsonValue;
    return { key, value, version: entry.versionstamp };
  } catch (cause) {
    throw new NetError(
      "failed_precondition",
      `Cannot read ${
        describe(entry.key)
      } of ${place}: it is not an entry of JSON in UTF-8; ` +
        "restore the state from a backup, or move it away to start empty",
      { cause },
    );
  }
}

/**
 * Checks a key and counts its bytes in the engine.
 *
 * @throws {RangeError} when it is invalid or longer than `MAX_KEY_BYTES`
 */
export function keyBytes(key: Key): number {
  checkKey(key);
  return boundedBytes(key);
}

/** Checks a prefix and its length. @throws {RangeError} as `keyBytes` */
export function checkEnginePrefix(prefix: Key): void {
  checkPrefix(prefix);
  boundedBytes(prefix);
}

/** The engine encodes a text as its UTF-8 with NUL doubled and a byte at each end, and a number as nine bytes. */
function boundedBytes(key: Key): number {
  let bytes = 0;
  for (const part of key) {
    if (typeof part === "number") bytes += 9;
    else bytes += Buffer.byteLength(part) + countNul(part) + 2;
  }
  if (bytes > MAX_KEY_BYTES) {
    throw new RangeError(
      `${
        formatKey(key)
      } is not a key: it has ${bytes} bytes, the store takes ${MAX_KEY_BYTES}`,
    );
  }
  return bytes;
}

function countNul(text: string): number {
  return text.includes("\0") ? text.split("\0").length - 1 : 0;
}

function encodeCheck(
  { key, version }: { readonly key: Key; readonly version: string | null },
): Deno.AtomicCheck {
  if (version !== null && !VERSION.test(version)) {
    throw foreignVersion(key, version);
  }
  return { key: [...key], versionstamp: version };
}

function describe(key: Deno.KvKey): string {
  return formatKey(
    key.map((part) => typeof part === "number" ? part : String(part)),
  );
}
