import assert from "node:assert/strict";
import { HostReconciler } from "../../src/host/reconciler.ts";
import { LinuxHostNetwork } from "../../src/host/linux_network.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type { HostDesired } from "../../src/host/plan/host_plan.ts";
import {
  attachContainer,
  connectOutside,
  NetnsHost,
} from "../support/netns_host.ts";

const BRIDGE = "br-sn";
const DESIRED: HostDesired = {
  bridge: { name: BRIDGE },
  subnets: ["172.16.0.0/22", "fd00:16::/64"].map(parsePrefix),
  networks: ["172.16.0.0/12", "fd00:16::/48"].map(parsePrefix),
  masquerade: false,
};
const NEAR = { 4: "172.16.4.2", 6: "fd00:16:0:1::2" } as const;
const CONTAINER = { 4: "172.16.0.2", 6: "fd00:16::2" } as const;
const FAR = { 4: "198.18.0.1", 6: "2001:db8:18::1" } as const;
const HOST = { 4: "198.18.0.2", 6: "2001:db8:18::2" } as const;

/** A packet filter that drops what it does not know. */
interface Firewall {
  readonly name: string;
  /** The families that it drops. */
  readonly families: readonly (4 | 6)[];
  readonly setUp: readonly string[];
  /** Prints its rules. */
  readonly show: string;
  /** Refuses what would else be accepted. */
  readonly refuse: string;
  /** Loses the agent's rules, as a restart of the firewall does. */
  readonly forget: string;
}

const IPTABLES_SHOW = "iptables-nft -S; ip6tables-nft -S";

const FIREWALLS: readonly Firewall[] = [
  {
    name: "iptables with a policy of drop",
    families: [4, 6],
    setUp: ["iptables-nft -P FORWARD DROP", "ip6tables-nft -P FORWARD DROP"],
    show: IPTABLES_SHOW,
    refuse: `iptables-nft -I FORWARD -d ${NEAR[4]} -j DROP`,
    forget: "iptables-nft -F FORWARD; ip6tables-nft -F FORWARD",
  },
  {
    name: "iptables-legacy with a policy of drop",
    families: [4, 6],
    setUp: [
      "iptables-legacy -P FORWARD DROP",
      "ip6tables-legacy -P FORWARD DROP",
    ],
    show: "iptables-legacy -S; ip6tables-legacy -S",
    refuse: `iptables-legacy -I FORWARD -d ${NEAR[4]} -j REJECT`,
    forget: "iptables-legacy -F FORWARD",
  },
  {
    name: "iptables as docker sets it",
    families: [4],
    setUp: [
      "iptables-nft -P FORWARD DROP",
      "iptables-nft -N DOCKER-USER",
      "iptables-nft -N DOCKER-ISOLATION-STAGE-1",
      "iptables-nft -A FORWARD -j DOCKER-USER",
      "iptables-nft -A FORWARD -j DOCKER-ISOLATION-STAGE-1",
      "iptables-nft -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "iptables-nft -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
      "iptables-nft -A DOCKER-ISOLATION-STAGE-1 -j RETURN",
      "iptables-nft -A DOCKER-USER -j RETURN",
    ],
    show: IPTABLES_SHOW,
    refuse: `iptables-nft -I DOCKER-USER -d ${NEAR[4]} -j DROP`,
    forget: "iptables-nft -D FORWARD 6; iptables-nft -D FORWARD 5",
  },
  {
    name: "iptables that rejects in a chain at the end, as ufw does",
    families: [4],
    setUp: [
      "iptables-nft -N ufw-reject-forward",
      "iptables-nft -A FORWARD -m conntrack --ctstate INVALID -j DROP",
      "iptables-nft -A FORWARD -j ufw-reject-forward",
      'iptables-nft -A ufw-reject-forward -m comment --comment "the \\"rest\\"" -j REJECT --reject-with icmp-port-unreachable',
      "iptables-nft -A FORWARD -j LOG",
    ],
    show: IPTABLES_SHOW,
    refuse: `iptables-nft -I FORWARD 2 -d ${NEAR[4]} -j DROP`,
    forget: "iptables-nft -D FORWARD 2",
  },
  {
    name: "nftables with a policy of drop",
    families: [4, 6],
    setUp: [
      "nft 'table inet filter { chain forward { type filter hook forward priority filter; policy drop; ct state invalid drop; }; }'",
    ],
    show: "nft list table inet filter",
    refuse: `nft insert rule inet filter forward ip daddr ${NEAR[4]} drop`,
    forget:
      "nft flush chain inet filter forward; nft add rule inet filter forward ct state invalid drop",
  },
  {
    name: "nftables that rejects at the end, as firewalld does",
    families: [4, 6],
    setUp: [
      'nft \'table inet firewalld { chain policies { iifname "up1" accept; log prefix "x" reject with icmpx admin-prohibited; }; ' +
      "chain forward { type filter hook forward priority filter + 10; policy accept; ct state invalid drop; jump policies; }; }'",
    ],
    show: "nft list table inet firewalld",
    refuse: `nft insert rule inet firewalld forward ip daddr ${NEAR[4]} reject`,
    forget:
      "nft flush chain inet firewalld forward; nft 'add rule inet firewalld forward ct state invalid drop; add rule inet firewalld forward jump policies'",
  },
  {
    name: "nftables and iptables one after the other",
    families: [4, 6],
    setUp: [
      "nft 'table inet filter { chain forward { type filter hook forward priority -10; policy drop; }; }'",
      "iptables-nft -P FORWARD DROP",
    ],
    show: `nft list table inet filter; ${IPTABLES_SHOW}`,
    refuse: `iptables-nft -I FORWARD -s ${NEAR[4]} -j DROP`,
    forget: "iptables-nft -F FORWARD; nft flush chain inet filter forward",
  },
  {
    name: "a table of iptables with a rule that it takes for another",
    families: [4],
    setUp: [
      "iptables-nft -P FORWARD DROP",
      "nft add rule ip filter FORWARD ip saddr { 192.0.2.1, 192.0.2.9 } accept",
    ],
    show: "nft list table ip filter",
    refuse: `nft insert rule ip filter FORWARD ip daddr ${NEAR[4]} drop`,
    forget: "iptables-nft -D FORWARD 3; iptables-nft -D FORWARD 2",
  },
  {
    name: "a table of iptables with a rule for which it refuses the table",
    families: [4],
    setUp: [
      "iptables-nft -P FORWARD DROP",
      "nft add rule ip filter FORWARD ct state invalid drop",
    ],
    show: "nft list table ip filter",
    refuse: `nft insert rule ip filter FORWARD ip daddr ${NEAR[4]} drop`,
    forget:
      "nft flush chain ip filter FORWARD; nft add rule ip filter FORWARD ct state invalid drop",
  },
];

const RESET = [
  "nft flush ruleset",
  ...["iptables-legacy", "ip6tables-legacy"].flatMap((tool) => [
    `${tool} -P FORWARD ACCEPT`,
    `${tool} -F`,
    `${tool} -X`,
  ]),
];

async function assertSource(
  from: NetnsHost,
  to: string,
  source: string,
): Promise<void> {
  assert.equal(await from.sourceAt(to), source, to);
}

async function assertNothing(from: NetnsHost, to: string): Promise<void> {
  assert.ok(await from.hasNoAnswerFrom(to), `${to} answers`);
}

Deno.test("HostReconciler copes with filters that drop forwarded packets", async (t) => {
  await using outside = await NetnsHost.create();
  await using host = await NetnsHost.create();
  await using container = await NetnsHost.create();
  await connectOutside(host, outside);
  const newReconciler = () =>
    new HostReconciler({
      network: new LinuxHostNetwork(host),
      apply: true,
    });
  await newReconciler().setDesired(DESIRED);
  await attachContainer(host, container, BRIDGE);
  await outside.serveSource();
  await container.serveSource();

  for (const firewall of FIREWALLS) {
    const { name, families, setUp, show } = firewall;
    await t.step(name, async () => {
      await host.sh(...RESET, ...setUp);
      const before = await host.sh(show);
      await Promise.all(
        families.map((family) => assertNothing(container, NEAR[family])),
      );

      const forbidden = newReconciler();
      await forbidden.setDesired({ ...DESIRED, forwardRules: false });
      assert.equal(await host.sh(show), before);
      assert.match(
        forbidden.warnings.join(),
        /the agent adds no rules \(--forward-rules off\)/,
      );

      const reconciler = newReconciler();
      const { checks } = await reconciler.setDesired(DESIRED);
      assert.deepEqual(reconciler.warnings, []);
      assert.match(
        checks.map(({ found }) => found).join("\n"),
        /(?:policy is drop|drops the rest), met with \d rules of the agent/,
      );
      await Promise.all(families.flatMap((family) => [
        assertSource(container, NEAR[family], CONTAINER[family]),
        // Opened is what is needed, no more.
        assertNothing(container, FAR[family]),
        assertNothing(outside, CONTAINER[family]),
      ]));
      assert.deepEqual((await reconciler.reconcile()).changes, []);
      assert.deepEqual((await newReconciler().setDesired(DESIRED)).changes, []);

      await host.sh(firewall.forget);
      await assertNothing(container, NEAR[4]);
      await reconciler.reconcile();
      await assertSource(container, NEAR[4], CONTAINER[4]);

      await reconciler.setDesired({ ...DESIRED, masquerade: true });
      assert.deepEqual(reconciler.warnings, []);
      await Promise.all(families.flatMap((family) => [
        assertSource(container, FAR[family], HOST[family]),
        assertNothing(outside, CONTAINER[family]),
      ]));

      // Whoever forbids them later gets the filter back as it was.
      await reconciler.setDesired({ ...DESIRED, forwardRules: false });
      assert.equal(await host.sh(show), before);

      const gone = { ...DESIRED, subnets: [], networks: [] };
      await reconciler.setDesired(gone);
      assert.equal(await host.sh(show), before);

      await host.sh(firewall.refuse);
      await reconciler.setDesired(DESIRED);
      assert.deepEqual(reconciler.warnings, []);
      await assertNothing(container, NEAR[4]);
    });
  }
});

Deno.test("HostReconciler lets containers on one bridge find each other where bridged packets are filtered", async (t) => {
  await using host = await NetnsHost.create();
  await using one = await NetnsHost.create();
  await using other = await NetnsHost.create();
  const reconciler = new HostReconciler({
    network: new LinuxHostNetwork(host),
    apply: true,
  });
  await reconciler.setDesired(DESIRED);
  await attachContainer(host, one, BRIDGE);
  await attachContainer(host, other, BRIDGE, 3);
  await other.serveSource();
  await host.sh("sysctl -qw net.bridge.bridge-nf-call-ip6tables=1");
  const drops = {
    "iptables": "ip6tables-nft -P FORWARD DROP",
    "iptables-legacy": "ip6tables-legacy -P FORWARD DROP",
    "nftables":
      "nft 'table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }'",
  };
  for (const [name, drop] of Object.entries(drops)) {
    await t.step(name, async () => {
      await host.sh(...RESET, drop);
      await one.sh("ip -6 neigh flush dev eth0");
      await other.sh("ip -6 neigh flush dev eth0");
      await assertNothing(one, "fd00:16::3");
      await reconciler.reconcile();
      await assertSource(one, "fd00:16::3", CONTAINER[6]);
      assert.deepEqual((await reconciler.reconcile()).changes, []);
    });
  }
});

Deno.test("HostReconciler adds no rules to filters that drop nothing of its own accord", async (t) => {
  const rows: readonly [name: string, setUp: readonly string[]][] = [
    ["a policy of accept", ["iptables-nft -P FORWARD ACCEPT"]],
    ["an accept before a policy of drop", [
      "iptables-nft -P FORWARD DROP",
      "iptables-nft -A FORWARD -j ACCEPT",
    ]],
    ["a drop with a condition", [
      "nft 'table inet filter { chain forward { type filter hook forward priority filter; tcp dport 25 drop; }; }'",
    ]],
    ["a drop of what comes in", [
      "nft 'table inet filter { chain input { type filter hook input priority filter; policy drop; }; }'",
    ]],
  ];
  for (const [name, setUp] of rows) {
    await t.step(name, async () => {
      await using host = await NetnsHost.create(...setUp);
      const before = await host.sh("nft list ruleset");
      const reconciler = new HostReconciler({
        network: new LinuxHostNetwork(host),
        apply: true,
      });
      await reconciler.setDesired(DESIRED);
      assert.deepEqual(reconciler.warnings, []);
      assert.equal(await host.sh("nft list ruleset"), before);
    });
  }
});
