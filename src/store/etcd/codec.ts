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
  checkCommit,
  checkLimit,
  encodeValue,
  foreignVersion,
  sum,
} from "../commit_checks.ts";
import type { EtcdKeyspace } from "./key.ts";
import { formatKey } from "../key.ts";
import type {
  Change,
  Commit,
  Entry,
  JsonValue,
  Key,
  StoreLimits,
  Version,
} from "../store.ts";

/**
 * What a commit to etcd can hold. etcd takes 128 operations (`--max-txn-ops`)
 * and 1.5 MiB (`--max-request-bytes`) a transaction; values and keys are as
 * with Deno KV, so that what is in one store fits into the other.
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
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The version of what was written under a revision. */
export function formatVersion(revision: bigint): Version {
  return String(revision).padStart(VERSION_DIGITS, "0");
}

/**
 * Makes the transaction of a commit.
 *
 * @throws {RangeError} when it is larger than the limits, a key or version is
 * none, a value is `null` or no JSON, or a key is written twice
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
