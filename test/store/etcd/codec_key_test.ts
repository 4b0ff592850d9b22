import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  EtcdKeyspace,
  type KeyRange,
  MAX_KEY_BYTES,
} from "../../../src/store/etcd/codec.ts";
import { compareKeys, isBelow, type Key } from "../../../src/store/store.ts";
import { TRICKY_KEYS } from "../../suite/store_suite_list.ts";

const keyspace = new EtcdKeyspace("/p");
const part = fc.oneof(
  fc.string({ minLength: 1, unit: "binary" }),
  fc.string({ minLength: 1, unit: fc.constantFrom("\0", " ", "!", "/", "a") }),
  fc.maxSafeNat(),
);
const key: fc.Arbitrary<Key> = fc.oneof(
  fc.constantFrom(...TRICKY_KEYS),
  fc.array(part, { minLength: 1, maxLength: 4 }),
);

function isIn(range: KeyRange | null, bytes: Uint8Array): boolean {
  return range !== null && Buffer.compare(range.start, bytes) <= 0 &&
    Buffer.compare(bytes, range.end) < 0;
}

Deno.test("EtcdKeyspace.encode() writes keys that people can read", async (t) => {
  const rows: [Key, string][] = [
    [["node", "host-a"], "/p node host-a"],
    [["subnet", "172.16.0.0/22"], "/p subnet 172.16.0.0/22"],
    [["ip", "fd00::1"], "/p ip fd00::1"],
    [["a b"], "/p a!`b"],
    [["!\0"], "/p !a!@"],
    [["ä"], "/p \u00c3\u00a4"],
    [[0, 12], "/p \u00ffa0 \u00ffb12"],
  ];
  for (const [key, text] of rows) {
    await t.step(JSON.stringify(key), () => {
      const bytes = Buffer.from(keyspace.encode(key));
      assert.equal(bytes.toString("latin1"), text);
    });
  }
});

Deno.test("EtcdKeyspace.decode() reverses encode()", () => {
  fc.assert(fc.property(key, (key) => {
    assert.deepEqual(keyspace.decode(keyspace.encode(key)), key);
  }));
});

Deno.test("EtcdKeyspace.encode() keeps the order of keys", () => {
  fc.assert(fc.property(key, key, (a, b) => {
    const order = Buffer.compare(keyspace.encode(a), keyspace.encode(b));
    assert.equal(Math.sign(order), Math.sign(compareKeys(a, b)));
  }));
});

Deno.test("EtcdKeyspace.below() holds exactly the keys below a prefix", () => {
  fc.assert(fc.property(key, fc.array(part, { maxLength: 2 }), (key, end) => {
    const below = [...key, ...end];
    for (const prefix of [[], key, below, key.slice(0, 1)]) {
      const range = keyspace.below(prefix);
      assert.equal(isIn(range, keyspace.encode(below)), isBelow(prefix, below));
    }
  }));
});

Deno.test("EtcdKeyspace.select() holds the keys after a key in either direction", () => {
  fc.assert(fc.property(key, key, key, (prefix, after, key) => {
    const bytes = keyspace.encode(key);
    const order = compareKeys(key, after);
    const isInPrefix = isBelow(prefix, key);
    const forward = keyspace.select(prefix, { after });
    assert.equal(isIn(forward, bytes), isInPrefix && order > 0);
    const reverse = keyspace.select(prefix, { after, reverse: true });
    assert.equal(isIn(reverse, bytes), isInPrefix && order < 0);
  }));
});

Deno.test("EtcdKeyspace keeps stores apart whose prefixes begin alike", () => {
  const others = ["/p/q", "/pq", "/p.q", "/p-q"].map((prefix) =>
    new EtcdKeyspace(prefix)
  );
  const range = keyspace.below([]);
  for (const other of others) {
    assert.ok(!isIn(range, other.encode(["a"])));
    assert.ok(!isIn(other.below([]), keyspace.encode(["a"])));
  }
});

Deno.test("EtcdKeyspace.encode() refuses keys that are too long", () => {
  const longest = "x".repeat(MAX_KEY_BYTES - 1);
  assert.equal(keyspace.sizeOf(keyspace.encode([longest])), MAX_KEY_BYTES);
  for (const key of [[`${longest}x`], ["\0".repeat(MAX_KEY_BYTES / 2)]]) {
    assert.throws(() => keyspace.encode(key), {
      name: "RangeError",
      message: /it has 20\d\d bytes, the store takes 2048$/,
    });
  }
});

Deno.test("EtcdKeyspace.decode() refuses keys that encode() never writes", () => {
  const rows = ["/p ", "/p a ", "/p  a", "/p !", "/p !b", "/p a!", "/p \xff"]
    .concat("/p \xffa", "/p \xffb1", "/p \xffa1x", "/p \xc3", "/q a", "/p\ta");
  for (const text of rows) {
    assert.throws(() => keyspace.decode(Buffer.from(text, "latin1")), {
      name: "NetError",
      code: "failed_precondition",
      message: /another program has written it, delete it with etcdctl$/,
    }, JSON.stringify(text));
  }
});
