import assert from "node:assert/strict";
import type { StoreChoice } from "../../../src/config/config.ts";
import { parseStore } from "../../../src/cli/commands/store_flags.ts";

function etcd(endpoints: readonly string[], prefix: string): StoreChoice {
  return { kind: "etcd", endpoints, prefix };
}

const GOOD: readonly [text: string, choice: StoreChoice][] = [
  ["kv:", "file"],
  ["kv::memory:", "memory"],
  ["etcd://h1:2379,h2:2380/p", etcd(["h1:2379", "h2:2380"], "/p")],
  ["etcd://h1", etcd(["h1:2379"], "/stellar-net")],
  ["etcd://h1/", etcd(["h1:2379"], "/stellar-net")],
  ["etcd://ETCD-1.example", etcd(["etcd-1.example:2379"], "/stellar-net")],
  ["etcd://198.18.0.1:1", etcd(["198.18.0.1:1"], "/stellar-net")],
  ["etcd://[FD00:0::1]/a/b.c", etcd(["[fd00::1]:2379"], "/a/b.c")],
  ["etcds://h1:65535/p", {
    kind: "etcd",
    endpoints: ["h1:65535"],
    prefix: "/p",
    tls: {},
  }],
];

const BAD: readonly [text: string, message: RegExp][] = [
  ["", /^"" is not a store: write "kv:" .*, "kv::memory:" .* or "etcd:\/\//],
  ["kv", /is not a store/],
  ["KV:", /is not a store/],
  ["etcd:h1", /is not a store/],
  ["http://h1", /^a Deno KV server .* is not supported/],
  ["https://token@h1", /^a Deno KV server [^@]*$/],
  ["etcd://", /"" is not a host and a port; write "h1:2379" or "\[::1\]:2379"/],
  ["etcd://h1,,h2", /"" is not a host and a port/],
  ["etcd://h1:0", /"h1:0" is not a host and a port/],
  ["etcd://h1:65536", /"h1:65536" is not a host and a port/],
  ["etcd://h1:http", /"h1:http" is not a host and a port/],
  ["etcd://fd00::1", /"fd00::1" is not a host and a port/],
  ["etcd://[h1]", /"h1" is not an IP address/],
  ["etcd://[192.0.2.1]", /has brackets around an IPv4 address/],
  ["etcd://192.0.2.256", /"192\.0\.2\.256" is not an IP address/],
  ["etcd://h_1", /"h_1" is not the name of a host/],
  ["etcd://h1 ", /"h1 " is not the name of a host/],
  ["etcd://h1?a=b", /"h1\?a=b" is not the name of a host/],
  ["etcd://h1,H1:2379", /names "h1:2379" twice/],
  ["etcd://h1/a/", /"\/a\/" is not a prefix of keys/],
  ["etcd://h1/a b", /is not a prefix of keys/],
  ["etcd://h1/a?b", /is not a prefix of keys/],
  [`etcd://h1/${"a".repeat(255)}`, /at most 255 characters/],
];

Deno.test("parseStore() reads valid URLs", async (t) => {
  for (const [text, choice] of GOOD) {
    await t.step(text, () => assert.deepEqual(parseStore(text), choice));
  }
});

Deno.test("parseStore() refuses invalid URLs and says what is valid", async (t) => {
  for (const [text, message] of BAD) {
    await t.step(JSON.stringify(text), () => {
      assert.throws(() => parseStore(text), { name: "RangeError", message });
    });
  }
});

Deno.test("parseStore() does not repeat a password", () => {
  for (const text of ["etcd://u:secret@h1", "etcds://h1,u:secret@h2/p"]) {
    assert.throws(() => parseStore(text), (error: Error) => {
      assert.match(error.message, /--store-user, .* --store-password-file/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});
