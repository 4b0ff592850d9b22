import assert from "node:assert/strict";
import { parseNftTables } from "../../../src/host/plan/nft_json.ts";
import { findDrops } from "../../../src/host/plan/drop_rules.ts";
import { parseIptablesConditions } from "../../../src/host/plan/iptables_rules.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const QUERY = {
  subnets: [parsePrefix("172.16.4.0/22")],
  networks: [parsePrefix("172.16.0.0/12")],
  owned: ["172.16.4.0/22", "172.16.0.0/22"].map(parsePrefix),
  devices: ["stellar0", "eth0"],
  ports: [9000],
};

const address = (field: string, right: unknown) => ({
  match: { op: "==", left: { payload: { protocol: "ip", field } }, right },
});
const prefix = (addr: string, len: number) => ({ prefix: { addr, len } });
const port = (right: unknown) => ({
  match: {
    op: "==",
    left: { payload: { protocol: "tcp", field: "dport" } },
    right,
  },
});
const device = (name: string) => ({
  match: { op: "==", left: { meta: { key: "iifname" } }, right: name },
});
const DROP = { drop: null };

/** The drops of a chain with one rule: how sure, and of what. */
function found(
  expr: readonly unknown[],
  { family = "inet", hook = "forward", policy = "accept" } = {},
): string[] {
  const at = { family, table: "t" };
  const tables = parseNftTables(JSON.stringify({
    nftables: [
      { table: { family, name: "t" } },
      {
        chain: { ...at, name: "c", type: "filter", hook, prio: 0, policy },
      },
      ...expr.length === 0
        ? []
        : [{ rule: { ...at, chain: "c", handle: 7, expr } }],
    ],
  }));
  return findDrops(tables, QUERY).map((drop) =>
    `${
      drop.isCertain ? "all" : drop.isPartial ? "part" : "maybe"
    } ${drop.traffic}: ${drop.command}`
  );
}

Deno.test("findDrops() tells rules that drop packets of containers from others", async (t) => {
  const DELETE = "nft delete rule inet t c handle 7";
  const rows: readonly [
    name: string,
    expr: readonly unknown[],
    drops: readonly string[],
  ][] = [
    ["all", [DROP], [`all packets: ${DELETE}`]],
    ["the network", [address("saddr", prefix("172.16.0.0", 12)), DROP], [
      `all packets: ${DELETE}`,
    ]],
    ["another network", [address("saddr", prefix("10.0.0.0", 8)), DROP], []],
    ["one container", [address("daddr", "172.16.0.2"), DROP], [
      `part packets: ${DELETE}`,
    ]],
    ["some containers", [
      address("daddr", { set: ["172.16.0.2", prefix("172.16.4.8", 29)] }),
      DROP,
    ], [`part packets: ${DELETE}`]],
    ["a part of the network that no node has", [
      address("daddr", { set: ["172.17.0.2"] }),
      DROP,
    ], []],
    ["the same, with one address", [address("daddr", "172.17.0.2"), DROP], [
      `maybe packets: ${DELETE}`,
    ]],
    ["the uplink", [device("eth0"), DROP], [`all packets: ${DELETE}`]],
    ["another interface", [device("docker0"), DROP], []],
    ["the agents' port", [port(9000), DROP], [`maybe calls: ${DELETE}`]],
    ["the agents' port in a set", [port({ set: [22, 9000] }), DROP], [
      `maybe calls: ${DELETE}`,
    ]],
    ["the agents' port in a range", [port({ range: [8000, 9999] }), DROP], [
      `maybe calls: ${DELETE}`,
    ]],
    ["another port", [port(22), DROP], [`maybe packets: ${DELETE}`]],
  ];
  for (const [name, expr, drops] of rows) {
    await t.step(name, () => assert.deepEqual(found(expr), drops));
  }
});

Deno.test("findDrops() looks at every family and hook that packets pass", async (t) => {
  const families = ["ip", "inet", "bridge", "netdev"];
  for (const family of families) {
    await t.step(
      family,
      () =>
        assert.deepEqual(found([DROP], { family, hook: "ingress" }), [
          `all packets: nft delete rule ${family} t c handle 7`,
        ]),
    );
  }
  for (const hook of ["prerouting", "input", "output", "postrouting"]) {
    await t.step(hook, () => assert.equal(found([DROP], { hook }).length, 1));
  }
  await t.step(
    "another family",
    () => assert.deepEqual(found([DROP], { family: "ip6" }), []),
  );
});

Deno.test("findDrops() finds a policy, unless a rule accepts the packets", () => {
  const options = { hook: "input", policy: "drop" };
  assert.deepEqual(found([], options), [
    "maybe packets: nft insert rule inet t c ip saddr 172.16.0.0/12 accept",
  ]);
  const accepts = [address("saddr", prefix("172.16.0.0", 12)), {
    accept: null,
  }];
  assert.deepEqual(found(accepts, options), []);
  // The agent's own rules come before a policy at the forward hook.
  assert.deepEqual(found([], { ...options, hook: "forward" }), []);
});

Deno.test("findDrops() deletes a rule of iptables-legacy with its own program", () => {
  const chains = parseIptablesConditions(
    [
      "-P FORWARD ACCEPT",
      "-A FORWARD -d 10.0.0.0/8 -j DROP",
      "-A FORWARD ! -s 10.0.0.0/255.0.255.0 -j DROP",
      '-A FORWARD -s 172.16.0.0/12 -m comment --comment "a b" -j REJECT --reject-with icmp-port-unreachable',
      "-A FORWARD -o eth0 -j DROP",
    ].join("\n"),
  );
  const tool = "iptables-legacy";
  const drops = findDrops([{ family: "ip", name: "filter", tool, chains }], {
    ...QUERY,
  });
  assert.deepEqual(
    drops.map(({ isCertain, command }) => [isCertain, command]),
    [
      [
        false,
        "iptables-legacy -t filter -D FORWARD ! -s 10.0.0.0/255.0.255.0 -j DROP",
      ],
      [
        true,
        'iptables-legacy -t filter -D FORWARD -s 172.16.0.0/12 -m comment --comment "a b" -j REJECT --reject-with icmp-port-unreachable',
      ],
      [true, "iptables-legacy -t filter -D FORWARD -o eth0 -j DROP"],
    ],
  );
});
