import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  Event_EventType,
  EventSchema,
  KeyValueSchema,
} from "../../../src/gen/etcd/etcd_pb.ts";
import {
  decodeChange,
  decodeEntry,
  encodeCommit,
  EtcdKeyspace,
  formatVersion,
} from "../../../src/store/etcd/codec.ts";

const keyspace = new EtcdKeyspace("/p");
const encoder = new TextEncoder();

Deno.test("formatVersion() gives texts in the order of revisions", () => {
  const revisions = [1n, 9n, 10n, 99n, 12_345n, 2n ** 53n, 2n ** 63n - 1n];
  const versions = revisions.map(formatVersion);
  assert.deepEqual(versions, [...versions].sort());
  assert.deepEqual(versions.map(BigInt), revisions);
});

Deno.test("encodeCommit() compares revisions, and 0 for what does not exist", () => {
  const { compare, success, failure } = encodeCommit({
    checks: [
      { key: ["a"], version: formatVersion(7n) },
      { key: ["b"], version: null },
    ],
    puts: [{ key: ["a"], value: 1 }],
    deletes: [["c"]],
  }, keyspace);
  assert.deepEqual(
    compare.map(({ targetUnion }) => targetUnion),
    [{ case: "modRevision", value: 7n }, { case: "modRevision", value: 0n }],
  );
  assert.deepEqual(
    success.map(({ request }) => request.case),
    ["requestPut", "requestDeleteRange"],
  );
  assert.deepEqual(failure, []);
});

Deno.test("encodeCommit() refuses versions of other stores", () => {
  for (const version of ["", "7", "0000000000000000000a", "-1"]) {
    const checks = [{ key: ["a"], version }];
    assert.throws(() => encodeCommit({ checks }, keyspace), {
      name: "RangeError",
      message:
        `Cannot check ["a"]: "${version}" is not a version of this store`,
    });
  }
});

Deno.test("decodeEntry() refuses values that another program has written", () => {
  const key = keyspace.encode(["a"]);
  for (const value of ["", "{", "\xff"]) {
    const kv = create(KeyValueSchema, { key, value: latin1(value) });
    assert.throws(() => decodeEntry(kv, keyspace), {
      name: "NetError",
      code: "failed_precondition",
      message: /^Cannot read \["a"\] of etcd: it is not JSON in UTF-8/,
    });
  }
});

Deno.test("decodeChange() tells what was put from what was deleted", () => {
  const kv = {
    key: keyspace.encode(["a"]),
    value: encoder.encode('{"n":1}'),
    modRevision: 7n,
  };
  const version = formatVersion(7n);
  const put = create(EventSchema, { type: Event_EventType.PUT, kv });
  assert.deepEqual(decodeChange(put, keyspace), {
    key: ["a"],
    value: { n: 1 },
    version,
  });
  const deleted = create(EventSchema, {
    type: Event_EventType.DELETE,
    kv: { key: kv.key, modRevision: 7n },
  });
  assert.deepEqual(decodeChange(deleted, keyspace), {
    key: ["a"],
    value: null,
    version,
  });
});

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
