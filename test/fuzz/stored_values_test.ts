import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import {
  clusterWrites,
  readClusterEntry,
  readClusterRemoval,
} from "../../src/state/cluster_records.ts";
import { ClusterSnapshot } from "../../src/member/snapshot.ts";
import { ClusterView } from "../../src/registry/feed.ts";
import {
  allocationPuts,
  createAllocationReader,
  readPool,
  readReleased,
} from "../../src/state/address_records.ts";
import {
  readMigratingMark,
  readMovedMark,
} from "../../src/state/migration_marks.ts";
import {
  formatEntry,
  formatHeader,
  formatTrailer,
  parseHeader,
  parseLine,
} from "../../src/backup/format/format.ts";
import { BackupReader } from "../../src/backup/format/read.ts";
import { decodeObject } from "../../src/cni/text/json.ts";
import { HttpResponseReader } from "../../src/cni/text/http_message.ts";
import { parseAllocation } from "../../src/cni/text/agent_messages.ts";
import {
  parseConfig,
  parseValidAttachments,
} from "../../src/cni/text/config.ts";
import { parseRequestedIps } from "../../src/cni/text/requested_ips.ts";
import {
  parseDns,
  parsePrevAddresses,
  parseRoutes,
} from "../../src/cni/text/result.ts";
import {
  authorityKey,
  nameRevocationKey,
  readIdentityEntry,
  revokedToken,
  tokenKey,
} from "../../src/state/identity_records.ts";
import { createAuthority } from "../../src/security/pki/authority.ts";
import { createToken } from "../../src/security/pki/token.ts";
import { createVerifier } from "../../src/security/pki/token_proof.ts";
import { EtcdKeyspace } from "../../src/store/etcd/codec.ts";
import { decodeEntry } from "../../src/store/deno_kv/codec.ts";
import type { Entry, JsonValue, Key, Store } from "../../src/store/store.ts";
import {
  checkFuzz,
  drawFuzz,
  fuzzedBytes,
  fuzzedJson,
  fuzzedText,
  nameRefusal,
  Tally,
} from "../support/fuzz.ts";

const RUNS = 1500;
const encoder = new TextEncoder();

const CONFIG = {
  clusterId: "one",
  networks: [{ cidr: "172.16.0.0/12", subnetPrefixLength: 22 }],
  createdAtMs: 7,
};
const NODE = {
  instanceId: "i",
  advertised: ["198.18.0.1"],
  apiUrl: "http://198.18.0.1:9000",
  subnets: ["172.16.0.0/22"],
  localPrefixes: [{ cidr: "172.17.0.0/16", device: "docker0" }],
  joinedAtMs: 5,
};
const SUBNET = { state: "owned", node: "n", sinceMs: 1 };
const RESERVED = { ...SUBNET, state: "reserved", reason: "for later" };
const ROUTE = { target: "198.18.0.9", addedAtMs: 3 };
const ADDRESS = {
  owner: ["n", "c", "eth0"],
  subnet: "172.16.0.0/22",
  allocatedAtMs: 9,
  requested: false,
  netns: "/run/netns/a",
  bootId: "b",
};
const HEADER = { schema: 2, program: "0.1.0", cluster: "c", node: "n" };

const CLUSTER_ENTRIES: readonly (readonly [Key, unknown])[] = [
  [["cluster", "config"], CONFIG],
  [["cluster", "node", "n"], NODE],
  [["cluster", "subnet", "172.16.0.0/22"], SUBNET],
  [["cluster", "subnet", "172.16.4.0/22"], RESERVED],
  [["cluster", "route", "10.0.0.0/8"], ROUTE],
];

/** What reads a value, and valid values. */
type Row = readonly [
  valid: readonly unknown[],
  use: (value: JsonValue) => void,
];

const VALUES: Readonly<Record<string, Row>> = {
  ...Object.fromEntries(CLUSTER_ENTRIES.map(([key, valid]): [string, Row] => [
    `readClusterEntry of ${key.slice(1).join(" ")}`,
    [[valid], (value) => readTwice(entryOf(key, value))],
  ])),
  createAllocationReader: [[ADDRESS], (value) => {
    const key = ["ip", "n", "address", "172.16.0.2"];
    const read = createAllocationReader();
    const allocation = read(entryOf(key, value));
    const [put] = allocationPuts("n", allocation);
    assert.deepEqual(read(entryOf(put!.key, put!.value)), allocation);
  }],
  readReleased: [[{ releasedAtMs: 5 }], (value) => {
    readReleased(entryOf(["ip", "n", "released", "172.16.0.2"], value));
  }],
  readPool: [
    [{ subnets: ["172.16.0.0/22", "fd00::/64"], cursors: ["172.16.0.9"] }],
    (value) => readPool(entryOf(["ip", "n", "pool"], value)),
  ],
  readMovedMark: [
    [{ id: "i", to: "etcd://h1", isComplete: false }],
    (value) => void readMovedMark(entryOf(["registry", "moved"], value)),
  ],
  readMigratingMark: [
    [{ id: "i", from: "kv:", clusterId: "c" }],
    (value) =>
      void readMigratingMark(entryOf(["registry", "migrating"], value)),
  ],
};

const AUTHORITY = createAuthority({ clusterId: "c", nowMs: 5 });
const REVOKED = { revokedAtMs: 5, reason: "lost", untilMs: 9 };
const TOKEN = {
  id: "0123456789ab",
  verifier: createVerifier(createToken(AUTHORITY.fingerprint)),
  fingerprint: AUTHORITY.fingerprint,
  role: "node",
  name: "n",
  createdAtMs: 1,
  expiresAtMs: 9,
  maxUses: 2,
  used: 1,
  uses: [{ name: "n", keyFingerprint: AUTHORITY.fingerprint, usedAtMs: 5 }],
  revokedAtMs: 0,
};

/** What reads the values of identities. */
const IDENTITIES: Readonly<Record<string, Row>> = {
  "readIdentityEntry of an authority": [
    [AUTHORITY, { ...AUTHORITY, privateKey: "" }],
    (value) => void readIdentityEntry(entryOf(authorityKey(1), value)),
  ],
  "readIdentityEntry of a revocation": [
    [
      { kind: "serial", serial: "00ff", ...REVOKED },
      { kind: "name", role: "node", name: "n", issuedUpToMs: 5, ...REVOKED },
    ],
    (value) =>
      void readIdentityEntry(entryOf(nameRevocationKey("node", "n"), value)),
  ],
  revokedToken: [
    [TOKEN],
    (value) => void revokedToken(entryOf(tokenKey(TOKEN.id), value), 5),
  ],
};

function entryOf(key: Key, value: JsonValue): Entry {
  return { key, value, version: "1" };
}

/** Reads an entry, writes what was read and reads that. */
function readTwice(entry: Entry): void {
  const change = readClusterEntry(entry)!;
  const [put] = clusterWrites(change).puts!;
  assert.deepEqual(readClusterEntry({ ...entry, ...put }), change);
}

Deno.test("readers of stored values give a value or say which is damaged", async (t) => {
  const rows = { ...VALUES, ...IDENTITIES };
  for (const [name, [valid, use]] of Object.entries(rows)) {
    await t.step(name, () => {
      for (const value of valid) use(value as JsonValue);
      fuzz(name, fuzzedJson(valid), (value) => use(value as JsonValue));
    });
  }
  await t.step(
    "readClusterRemoval",
    () =>
      fuzz("readClusterRemoval", fuzzedText(["172.16.0.0/22"]), (text) => {
        readClusterRemoval(["cluster", "subnet", text]);
      }),
  );
});

Deno.test("ClusterSnapshot.load() reads a snapshot or says which entry is damaged", async () => {
  const tally = new Tally("ClusterSnapshot.load");
  const values = fuzzedJson([[CONFIG, NODE, ROUTE, 7]]);
  for (const drawn of drawFuzz(values, 500)) {
    const [config, node, route, revision] = Array.isArray(drawn)
      ? drawn
      : [drawn, drawn, drawn, drawn];
    const entries = [
      [["snapshot", "config"], config],
      [["snapshot", "node", "n"], node],
      [["snapshot", "revision"], revision],
      [["snapshot", "route", "10.0.0.0/8"], route],
    ] as const;
    const list = () =>
      entries.flatMap(([key, value]) =>
        value === undefined ? [] : [entryOf(key, value)]
      );
    const store = { list } as unknown as Store;
    tally.add(
      await ClusterSnapshot.load(store, new ClusterView()).then(
        () => "read",
        nameRefusal,
      ),
    );
  }
  tally.print();
  assert.equal(tally.total, 500);
});

const BACKUP_LINES = formatHeader({
  ...HEADER,
  instance: "i",
  takenAt: "2026-01-02T03:04:05Z",
}) + formatEntry({ key: ["cluster", "node", "n"], value: NODE });
const BACKUP = BACKUP_LINES + formatTrailer({
  entries: 1,
  sha256: createHash("sha256").update(BACKUP_LINES).digest("hex"),
});

Deno.test("readers of backups give what is there or refuse", () => {
  const lines = BACKUP.trimEnd().split("\n");
  fuzz("parseHeader", fuzzedText([lines[0]!]), parseHeader);
  const line = fc.oneof(
    fuzzedText(lines),
    fuzzedJson(lines.map((text) => JSON.parse(text))).map((value) =>
      JSON.stringify(value) ?? ""
    ),
  );
  fuzz("parseLine", line, (text) => {
    const parsed = parseLine(text, 2);
    if ("key" in parsed) {
      assert.deepEqual(parseLine(formatEntry(parsed).trimEnd(), 2), {
        key: parsed.key,
        value: parsed.value,
      });
    }
  });
  const backup = encoder.encode(BACKUP);
  fuzz("BackupReader", fc.oneof(fc.constant(backup), fuzzedBytes([backup])), (
    bytes,
  ) => {
    const reader = new BackupReader();
    const middle = bytes.length >> 1;
    for (const _ of reader.push(bytes.subarray(0, middle)));
    for (const _ of reader.push(bytes.subarray(middle)));
    reader.end();
  });
});

Deno.test("decoders of keys and values of stores give a value or refuse", () => {
  const keyspace = new EtcdKeyspace("/stellar-net");
  const keys = CLUSTER_ENTRIES.map(([key]) => keyspace.encode(key))
    .concat(keyspace.encode(["history", "time", 1_790_000_000_000, 3, "n"]));
  fuzz("EtcdKeyspace.decode", fuzzedBytes(keys), (bytes) => {
    assert.deepEqual(keyspace.encode(keyspace.decode(bytes)), bytes);
  });
  const value = encoder.encode(JSON.stringify(NODE));
  fuzz("decodeEntry of Deno KV", fuzzedBytes([value]), (value) => {
    decodeEntry({ key: ["cluster", "x"], value, versionstamp: "1" }, "state");
  });
});

const CNI_CONFIG = {
  cniVersion: "1.1.0",
  name: "n",
  ipam: {
    type: "stellar-net",
    socket: "/run/a.sock",
    queue: "/var/lib/q",
    timeout: "10s",
    routes: [{ dst: "0.0.0.0/0", gw: "172.16.0.1", mtu: 1400 }],
    dns: { nameservers: ["192.0.2.53"], search: ["a"], options: ["b"] },
  },
  dns: { domain: "example.org" },
  args: { cni: { ips: ["172.16.0.9/22"] } },
  runtimeConfig: { ips: ["fd00::9"] },
  prevResult: { ips: [{ address: "172.16.0.9/22", gateway: "172.16.0.1" }] },
  "cni.dev/valid-attachments": [{ containerID: "c", ifname: "eth0" }],
};
const STELLAR_CONFIG = {
  ...CNI_CONFIG,
  ipam: { type: "stellar-cni-ipam", node_name: "n", peer_addr: "h:9000" },
};
const ANSWER = {
  allocation: {
    addresses: [{
      address: "172.16.0.2",
      subnet: "172.16.0.0/22",
      gateway: "172.16.0.1",
    }],
    allocatedAt: "2026-01-02T03:04:05Z",
  },
};

Deno.test("readers of CNI configurations and of the agent's answers give a value or refuse", () => {
  const configs = fuzzedJson([CNI_CONFIG, STELLAR_CONFIG]);
  const objects = fc.oneof(
    configs.map((value) => encoder.encode(JSON.stringify(value) ?? "")),
    fuzzedBytes([encoder.encode(JSON.stringify(CNI_CONFIG))]),
  );
  fuzz("CNI configuration", objects, (bytes) => {
    const config = decodeObject(bytes, "the configuration");
    const results = [
      () => parseConfig(config, "ADD"),
      () => parseRoutes(config),
      () => parseDns(config),
      () => parseRequestedIps(config, ""),
      () => parsePrevAddresses(config),
      () => parseValidAttachments(config),
    ].map((read) => outcomeOf(read));
    assert.equal(results.length, 6);
    parseConfig(config, "GC");
  });
  fuzz("agent's answer", fuzzedJson([ANSWER]), (value) => {
    const answer = decodeObject(
      encoder.encode(JSON.stringify(value) ?? ""),
      "the answer",
    );
    parseAllocation(answer);
  });
  const body = JSON.stringify(ANSWER);
  const responses = [
    `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    "HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
  ].map((text) => encoder.encode(text));
  fuzz("HttpResponseReader", fuzzedBytes(responses), (bytes) => {
    const reader = new HttpResponseReader({ maxBytes: 4096 });
    reader.push(bytes.subarray(0, bytes.length >> 1));
    reader.read({ ended: false });
    reader.push(bytes.subarray(bytes.length >> 1));
    reader.read({ ended: true });
  });
});

function fuzz<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  use: (input: T) => unknown,
): void {
  const tally = new Tally(name);
  checkFuzz(inputs, RUNS, (input) => tally.add(outcomeOf(() => use(input))));
  tally.print();
  assert.ok(tally.total >= RUNS);
}

function outcomeOf(use: () => unknown): string {
  try {
    use();
    return "read";
  } catch (error) {
    return nameRefusal(error);
  }
}
