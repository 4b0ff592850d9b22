import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { NetError } from "../../base/error.ts";
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  type Event,
  Event_EventType,
  type KeyValue,
  type TxnRequest,
  TxnRequestSchema,
} from "../../gen/etcd/etcd_pb.ts";
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
  type ListOptions,
  type StoreLimits,
  sum,
  type Version,
} from "../store.ts";
import { Buffer } from "node:buffer";

/**
 * The limits of a commit to etcd. etcd takes 128 operations (`--max-txn-ops`)
 * and 1.5 MiB (`--max-request-bytes`) in a transaction. The limits of values
 * and keys are those of Deno KV, so that each entry fits into either store.
 */
export const ETCD_LIMITS: StoreLimits = {
  maxMutations: 128,
  maxChecks: 128,
  maxValueBytes: 65_536,
  maxPutKeyBytes: 81_920,
  maxCommitBytes: 1_048_576,
};

/** Digits of the largest revision. */
const VERSION_DIGITS = 19;
const VERSION = /^\d{19}$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The version of entries that were written under a revision. */
export function formatVersion(revision: bigint): Version {
  return String(revision).padStart(VERSION_DIGITS, "0");
}

/**
 * Encodes a commit as a transaction.
 *
 * @throws {RangeError} when it exceeds the limits, a key, version or value is
 * invalid, or a key is written twice
 */
export function encodeCommit(
  commit: Commit,
  keyspace: EtcdKeyspace,
): TxnRequest {
  checkCommit(commit, ETCD_LIMITS);
  const checks = (commit.checks ?? []).map(({ key, version }) => {
    if (version !== null && !VERSION.test(version)) {
      throw foreignVersion(key, version);
    }
    return { key: keyspace.encode(key), revision: BigInt(version ?? 0) };
  });
  const puts = (commit.puts ?? []).map((put) => ({
    key: keyspace.encode(put.key),
    value: encodeValue(put, ETCD_LIMITS.maxValueBytes),
  }));
  const deletes = (commit.deletes ?? []).map((key) => keyspace.encode(key));
  const putKeyBytes = sum(puts.map(({ key }) => keyspace.sizeOf(key)));
  checkLimit(
    "the bytes of the keys it puts",
    putKeyBytes,
    ETCD_LIMITS.maxPutKeyBytes,
  );
  checkLimit(
    "the bytes of its keys and values",
    putKeyBytes + sum(puts.map(({ value }) => value.length)) +
      sum(deletes.map((key) => keyspace.sizeOf(key))) +
      sum(checks.map(({ key }) => keyspace.sizeOf(key))),
    ETCD_LIMITS.maxCommitBytes,
  );
  const success: MessageInitShape<typeof TxnRequestSchema>["success"] = [
    ...puts.map((value) => ({
      request: { case: "requestPut" as const, value },
    })),
    ...deletes.map((key) => ({
      request: { case: "requestDeleteRange" as const, value: { key } },
    })),
  ];
  return create(TxnRequestSchema, {
    compare: checks.map(({ key, revision }) => ({
      result: Compare_CompareResult.EQUAL,
      target: Compare_CompareTarget.MOD,
      key,
      targetUnion: { case: "modRevision" as const, value: revision },
    })),
    success,
  });
}

/**
 * Reads an entry.
 *
 * @throws {NetError} `failed_precondition` when it was not written by this adapter
 */
export function decodeEntry(kv: KeyValue, keyspace: EtcdKeyspace): Entry {
  const key = keyspace.decode(kv.key);
  const version = formatVersion(kv.modRevision);
  return { key, value: decodeValue(key, kv.value), version };
}

/** Reads a change. @throws {NetError} as `decodeEntry` */
export function decodeChange(event: Event, keyspace: EtcdKeyspace): Change {
  const { key: bytes, value, modRevision } = event.kv!;
  const key = keyspace.decode(bytes);
  return {
    key,
    value: event.type === Event_EventType.DELETE
      ? null
      : decodeValue(key, value),
    version: formatVersion(modRevision),
  };
}

function decodeValue(key: Key, bytes: Uint8Array): JsonValue {
  try {
    return JSON.parse(decoder.decode(bytes)) as JsonValue;
  } catch (cause) {
    throw new NetError(
      "failed_precondition",
      `Cannot read ${
        formatKey(key)
      } of etcd: it is not JSON in UTF-8; another program has written it, ` +
        "restore etcd from a backup",
      { cause },
    );
  }
}

/** Most bytes of one encoded key, without the store's prefix. */
export const MAX_KEY_BYTES = 2048;

/** Between the parts of a key: lower than every byte of a part. */
const SEPARATOR = 0x20;
/** Before an escaped byte: lower than every other byte of a part. */
const ESCAPE = 0x21;
/** Makes escaped bytes printable: NUL becomes "@". */
const ESCAPE_OFFSET = 0x40;
/** Before a number: higher than every byte of UTF-8. */
const NUMBER = 0xff;
/** Before the digits of a number: the count of digits, from "a" on. */
const DIGITS_OFFSET = 0x60;

/** Keys from `start` on and before `end`. */
export interface KeyRange {
  readonly start: Uint8Array<ArrayBuffer>;
  readonly end: Uint8Array<ArrayBuffer>;
}

/**
 * The keys of one store in etcd.
 *
 * The store's prefix comes first, then the parts, with spaces between:
 * `/stellar-net node host-a`. etcd orders keys by bytes. To make this the order
 * of `Key`, spaces, exclamation marks and all bytes before them are escaped in
 * parts (`!@` to `!a`), and a number is the byte 0xff, its length as a letter
 * and its digits. No prefix contains a space, so that a store whose prefix
 * begins with this one's has none of its keys.
 */
export class EtcdKeyspace {
  readonly #root: Uint8Array;

  constructor(prefix: string) {
    this.#root = encoder.encode(prefix);
  }

  /** @throws {RangeError} when the key is invalid or longer than `MAX_KEY_BYTES` */
  encode(key: Key): Uint8Array<ArrayBuffer> {
    checkKey(key);
    return this.#encode(key);
  }

  /** Bytes of an encoded key without the store's prefix. */
  sizeOf(encoded: Uint8Array): number {
    return encoded.length - this.#root.length;
  }

  /**
   * Reads a key.
   *
   * @throws {NetError} `failed_precondition` when another program has written it
   */
  decode(encoded: Uint8Array): Key {
    try {
      const key = split(encoded.subarray(this.#root.length + 1)).map(readPart);
      checkKey(key);
      if (Buffer.compare(this.#encode(key), encoded) === 0) return key;
      throw new RangeError("The key is not written as the store writes it");
    } catch (cause) {
      throw new NetError(
        "failed_precondition",
        `Cannot read the key ${
          JSON.stringify(Buffer.from(encoded).toString("latin1"))
        }: it is not one of this store; another program has written it, ` +
          "delete it with etcdctl",
        { cause },
      );
    }
  }

  /** All keys below a prefix. @throws {RangeError} as `encode` */
  below(prefix: Key): KeyRange {
    checkPrefix(prefix);
    const base = this.#encode(prefix);
    return {
      start: Uint8Array.of(...base, SEPARATOR),
      end: Uint8Array.of(...base, SEPARATOR + 1),
    };
  }

  /**
   * The range below a prefix and behind a key; null when it is empty.
   *
   * @throws {RangeError} as `encode`
   */
  select(
    prefix: Key,
    { after, reverse = false }: Pick<ListOptions, "after" | "reverse">,
  ): KeyRange | null {
    const range = this.below(prefix);
    if (after === undefined) return range;
    return behind(range, { key: this.encode(after), reverse });
  }

  #encode(key: Key): Uint8Array<ArrayBuffer> {
    const bytes = [...this.#root];
    for (const part of key) {
      bytes.push(SEPARATOR);
      if (typeof part === "string") pushText(bytes, part);
      else pushNumber(bytes, part);
    }
    if (bytes.length - this.#root.length > MAX_KEY_BYTES) {
      throw new RangeError(
        `${formatKey(key)} is not a key: it has ${
          bytes.length - this.#root.length
        } bytes, the store takes ${MAX_KEY_BYTES}`,
      );
    }
    return Uint8Array.from(bytes);
  }
}

/** The part of a range behind a key in one direction; null when it is empty. */
export function behind(
  range: KeyRange,
  { key, reverse }: { readonly key: Uint8Array; readonly reverse: boolean },
): KeyRange | null {
  const rest = reverse
    ? { start: range.start, end: lesser(range.end, key) }
    : { start: greater(range.start, Uint8Array.of(...key, 0)), end: range.end };
  return Buffer.compare(rest.start, rest.end) < 0 ? rest : null;
}

function lesser(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.compare(a, b) < 0 ? a : b);
}

function greater(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.compare(a, b) < 0 ? b : a);
}

function pushText(bytes: number[], text: string): void {
  for (const byte of encoder.encode(text)) {
    if (byte > ESCAPE) bytes.push(byte);
    else bytes.push(ESCAPE, byte + ESCAPE_OFFSET);
  }
}

function pushNumber(bytes: number[], value: number): void {
  const digits = encoder.encode(String(value));
  bytes.push(NUMBER, digits.length + DIGITS_OFFSET, ...digits);
}

function split(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let start = 0;
  for (let i = 0; i <= bytes.length; i++) {
    if (i < bytes.length && bytes[i] !== SEPARATOR) continue;
    parts.push(bytes.subarray(start, i));
    start = i + 1;
  }
  return parts;
}

function readPart(bytes: Uint8Array): string | number {
  if (bytes[0] === NUMBER) return Number(decoder.decode(bytes.subarray(2)));
  const text: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    text.push(bytes[i] === ESCAPE ? bytes[++i]! - ESCAPE_OFFSET : bytes[i]!);
  }
  return decoder.decode(Uint8Array.from(text));
}
