import assert from "node:assert/strict";
import type { StoreChoice } from "../../../src/config/config.ts";
import { runFake } from "../fake_io.ts";

type Flags = readonly (readonly [flag: string, value: string])[];

const GOOD: readonly [name: string, flags: Flags, choice: StoreChoice][] = [
  ["nothing", [], "file"],
  ["plain text, nobody", [["store", "etcd://h1,h2"]], {
    kind: "etcd",
    endpoints: ["h1:2379", "h2:2379"],
    prefix: "/stellar-net",
  }],
  ["a user", [
    ["store", "etcd://h1/p"],
    ["store-user", "agent"],
    ["store-password-file", "/etc/password"],
  ], {
    kind: "etcd",
    endpoints: ["h1:2379"],
    prefix: "/p",
    user: { name: "agent", passwordPath: "/etc/password" },
  }],
  ["TLS", [["store", "etcds://h1/p"]], {
    kind: "etcd",
    endpoints: ["h1:2379"],
    prefix: "/p",
    tls: { caPath: undefined, certPath: undefined, keyPath: undefined },
  }],
  ["certificates", [
    ["store", "etcds://h1/p"],
    ["store-ca", "ca.pem"],
    ["store-cert", "host.pem"],
    ["store-key", "host.key"],
  ], {
    kind: "etcd",
    endpoints: ["h1:2379"],
    prefix: "/p",
    tls: { caPath: "ca.pem", certPath: "host.pem", keyPath: "host.key" },
  }],
];

const BAD: readonly [flags: Flags, says: string][] = [
  [[["store-user", "agent"]], '--store-user goes with "etcd://" in --store'],
  [
    [["store", "kv::memory:"], ["store-password-file", "p"]],
    '--store-password-file goes with "etcd://" in --store',
  ],
  [
    [["store", "kv:"], ["store-ca", "ca.pem"]],
    '--store-ca goes with "etcds://" in --store',
  ],
  [
    [["store", "etcd://h1"], ["store-cert", "c"], ["store-key", "k"]],
    '--store-cert goes with "etcds://" in --store',
  ],
  [
    [["store", "etcds://h1"], ["store-cert", "c"]],
    "--store-cert goes with --store-key: give both, or none",
  ],
  [
    [["store", "etcds://h1"], ["store-key", "k"]],
    "--store-key goes with --store-cert: give both, or none",
  ],
  [
    [["store", "etcd://h1"], ["store-user", "agent"]],
    "--store-user goes with --store-password-file: give both, or none",
  ],
  [
    [["store", "etcd://h1"], ["store-password-file", "p"]],
    "--store-password-file goes with --store-user: give both, or none",
  ],
  [
    [["store", "etcd://h1"], ["store-user", "a:b"]],
    '--store-user: "a:b" is not a user',
  ],
];

Deno.test("agent reads the store's flags and their variables alike", async (t) => {
  for (const [name, flags, choice] of GOOD) {
    await t.step(name, async () => {
      const args = flags.flatMap(([flag, value]) => [`--${flag}`, value]);
      const env = Object.fromEntries(
        flags.map(([flag, value]) => [
          `STELLAR_NET_${flag.replaceAll("-", "_").toUpperCase()}`,
          value,
        ]),
      );
      const byFlag = await runFake(["agent", ...args]);
      const byTwin = await runFake(["agent"], { env });
      for (const { stderr, agents } of [byFlag, byTwin]) {
        assert.equal(stderr, "");
        assert.deepEqual(agents.map(({ config }) => config.store), [choice]);
      }
    });
  }
});

Deno.test("agent refuses store flags that exclude each other", async (t) => {
  for (const [flags, says] of BAD) {
    const args = flags.flatMap(([flag, value]) => [`--${flag}`, value]);
    await t.step(args.join(" "), async () => {
      const { code, stderr, agents } = await runFake(["agent", ...args]);
      assert.equal(code, 2);
      assert.deepEqual(agents, []);
      assert.ok(stderr.includes(says), stderr);
    });
  }
});
