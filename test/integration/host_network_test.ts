import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { type Check, formatCheck } from "../../src/host/checks/check.ts";
import { HostReconciler } from "../../src/host/reconciler.ts";
import { Notifier } from "../support/notifier.ts";
import type {
  CommandFollower,
  CommandRunner,
} from "../../src/system/command.ts";
import { BridgeNeighbours } from "../../src/host/bridge_neighbours.ts";
import { LinuxHostNetwork } from "../../src/host/linux_network.ts";
import { LinuxPathProbe } from "../../src/host/linux_path_probe.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import { formatAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type { HostDesired } from "../../src/host/plan/host_plan.ts";
import { masqueradeRules } from "../../src/host/plan/nft_plan.ts";
import { chooseAdvertised, uplinksOf } from "../../src/routes/plan/uplink.ts";
import { type Mishap, testHostNetwork } from "../suite/host_network_suite.ts";
import {
  attachContainer,
  connectOutside,
  NetnsHost,
} from "../support/netns_host.ts";

const NO_CANDIDATES = { previous: [], towardRegistry: [], listening: [] };
const BRIDGE = "br-sn";
const DESIRED: HostDesired = {
  bridge: { name: BRIDGE },
  subnets: ["172.16.0.0/22", "fd00:16::/64"].map(parsePrefix),
  networks: ["172.16.0.0/12", "fd00:16::/48"].map(parsePrefix),
  masquerade: false,
};
const NOTHING: HostDesired = {
  subnets: [],
  networks: [],
  masquerade: false,
};

function reconcilerOf(host: NetnsHost): HostReconciler {
  const network = new LinuxHostNetwork(host);
  return new HostReconciler({ network, apply: true });
}

/** What is wrong, as lines. */
function wrong(checks: readonly Check[]): string[] {
  return checks.filter(({ status }) => status !== "ok").map(formatCheck);
}

async function addressesOf(host: NetnsHost, device: string): Promise<string[]> {
  const text = await host.sh(
    `ip -brief address show dev ${device} scope global`,
  );
  return text.trim().split(/\s+/).slice(2).sort();
}

const MISHAPS: Readonly<Record<Mishap, string>> = {
  "bridge deleted": "ip link delete br0",
  "bridge down": "ip link set br0 down",
  "address deleted": "ip address flush dev br0",
  "forwarding off": "echo 0 > /proc/sys/net/ipv4/ip_forward",
  "table deleted": "nft delete table inet stellar-net",
  "table flushed": "nft flush table inet stellar-net",
  "rules lost":
    "iptables-nft -F FORWARD; iptables-nft -A FORWARD -s 192.0.2.1 -j DROP",
  "policy of accept": "iptables-nft -P FORWARD ACCEPT",
  "policy of drop": "iptables-nft -P FORWARD DROP",
};

Deno.test("HostReconciler leads a host from state to state", async () => {
  await testHostNetwork(async () => {
    const host = await NetnsHost.create(
      "iptables-nft -A FORWARD -s 192.0.2.1 -j DROP",
    );
    return {
      network: new LinuxHostNetwork(host),
      async suffer(mishap) {
        await host.sh(`{ ${MISHAPS[mishap]}; } 2>/dev/null || true`);
      },
      [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
    };
  }, { walks: 2 });
});

Deno.test("HostReconciler makes, addresses and fixes a bridge, and leaves those of others alone", async () => {
  await using host = await NetnsHost.create();
  const reconciler = reconcilerOf(host);
  const first = await reconciler.setDesired(DESIRED);
  assert.deepEqual(wrong(first.checks), []);
  const own = ["172.16.0.1/22", "fd00:16::1/64"];
  assert.deepEqual(await addressesOf(host, BRIDGE), own);
  const link = await host.sh(`ip -json link show ${BRIDGE}`);
  assert.equal(JSON.parse(link)[0].address, "02:53:ac:10:00:01");
  assert.deepEqual((await reconciler.reconcile()).changes, []);

  await host.sh(`ip address add 192.0.2.7/24 dev ${BRIDGE}`);
  const mishaps = [
    `ip address delete 172.16.0.1/22 dev ${BRIDGE}`,
    `ip -6 address flush dev ${BRIDGE}`,
    `ip link set ${BRIDGE} down`,
  ];
  for (const mishap of mishaps) {
    await host.sh(mishap);
    const { changes, checks } = await reconciler.reconcile();
    assert.notDeepEqual(changes, [], mishap);
    assert.deepEqual(wrong(checks), [], mishap);
    assert.deepEqual(
      await addressesOf(host, BRIDGE),
      ["172.16.0.1/22", "192.0.2.7/24", "fd00:16::1/64"],
      mishap,
    );
  }
  await host.sh(`ip link delete ${BRIDGE}`);
  assert.deepEqual(wrong((await reconciler.reconcile()).checks), []);
  assert.deepEqual(await addressesOf(host, BRIDGE), own);

  const moved = ["172.16.8.0/22", "fd00:16::/64"].map(parsePrefix);
  await host.sh(`ip address add 172.16.20.5/22 dev ${BRIDGE}`);
  const report = await reconciler.setDesired({ ...DESIRED, subnets: moved });
  assert.deepEqual(await addressesOf(host, BRIDGE), [
    "172.16.20.5/22",
    "172.16.8.1/22",
    "fd00:16::1/64",
  ]);
  assert.deepEqual(wrong(report.checks), [
    'bridge: "br-sn" has 172.16.20.5/22, too, of another node\'s subnet; ' +
    "this host takes that subnet for its own and does not reach it; " +
    "to fix it: ip address delete 172.16.20.5/22 dev br-sn",
  ]);
});

Deno.test("HostReconciler refuses an interface of the bridge's name that is not a bridge", async () => {
  await using host = await NetnsHost.create(
    `ip link add ${BRIDGE} type veth peer name other`,
  );
  const { checks } = await reconcilerOf(host).setDesired(DESIRED);
  assert.match(
    wrong(checks)[0]!,
    /^bridge: "br-sn" is of kind veth, not a bridge; .*--bridge another name$/,
  );
  assert.deepEqual(await addressesOf(host, BRIDGE), []);
});

Deno.test("HostReconciler does not put a gateway on two interfaces", async () => {
  await using host = await NetnsHost.create(
    "ip link add cni0 type bridge",
    "ip link set cni0 up",
    "ip address add 172.16.0.1/22 dev cni0",
  );
  const { checks } = await reconcilerOf(host).setDesired(DESIRED);
  assert.deepEqual(wrong(checks), [
    'gateway: 172.16.0.1 is on "cni0", not on "br-sn"; containers on the ' +
    "bridge have no gateway; to fix it: " +
    "ip address delete 172.16.0.1/22 dev cni0",
  ]);
  assert.deepEqual(await addressesOf(host, BRIDGE), ["fd00:16::1/64"]);
});

/** Sends router advertisements for half an hour (RFC 4861, section 4.2) to all on eth0. */
const ADVERTISE = `
import socket, time
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
index = socket.if_nametoindex("eth0")
advertisement = bytes([134, 0, 0, 0, 64, 0, 7, 8] + [0] * 8)
while True:
    try:
        raw.sendto(advertisement, ("ff02::1", 0, 0, index))
    except OSError:
        pass # the link is not ready yet
    time.sleep(0.05)
`;

Deno.test("HostReconciler switches forwarding on, and keeps a way out that was advertised", async () => {
  await using outside = await NetnsHost.create();
  await using host = await NetnsHost.create();
  const quick = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";
  await outside.sh(quick);
  await host.sh(quick);
  await connectOutside(host, outside);
  await host.sh("ip -6 route delete default");
  outside.spawn("python3", "-c", ADVERTISE);
  const showDefault = "ip -6 route show default proto ra | grep default";
  await host.sh(`until ${showDefault}; do sleep 0.02; done`);

  const report = await reconcilerOf(host).setDesired(DESIRED);
  assert.deepEqual(wrong(report.checks), []);
  const values = await host.sh(
    "cd /proc/sys/net",
    "cat ipv4/ip_forward ipv6/conf/all/forwarding ipv6/conf/up0/accept_ra",
  );
  assert.equal(values, "1\n1\n2\n");
  assert.match(await host.sh(showDefault), /^default via fe80::/);
});

Deno.test("HostReconciler leaves forwarding of a family without a subnet alone", async () => {
  await using host = await NetnsHost.create();
  const subnets = [parsePrefix("172.16.0.0/22")];
  await reconcilerOf(host).setDesired({ ...DESIRED, subnets });
  const values = await host.sh(
    "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding",
  );
  assert.equal(values, "1\n0\n");
});

Deno.test("LinuxHostNetwork finds the uplinks and the addresses to advertise", async () => {
  await using outside = await NetnsHost.create();
  await using host = await NetnsHost.create();
  const network = new LinuxHostNetwork(host);
  assert.deepEqual(uplinksOf(await network.readInterfaces()), []);
  await connectOutside(host, outside);
  await host.sh("ip link set up0 mtu 1400");
  const interfaces = await network.readInterfaces();
  assert.deepEqual(
    uplinksOf(interfaces).map((u) => [u.family, u.device, u.mtuBytes]),
    [[4, "up0", 1400], [6, "up0", 1400]],
  );
  assert.deepEqual(
    chooseAdvertised(interfaces, NO_CANDIDATES).map(formatAddress),
    [
      "198.18.0.2",
      "2001:db8:18::2",
    ],
  );
});

Deno.test("a full check of an idle host runs eleven programs", async () => {
  await using host = await NetnsHost.create();
  let ran: string[] = [];
  const runner: CommandRunner = {
    run(command) {
      ran.push(command.program);
      return host.runner.run(command);
    },
  };
  const { follower } = host;
  const network = new LinuxHostNetwork({ runner, follower });
  const routes = new IpRoutes({ runner, follower });
  const neighbours = new BridgeNeighbours({
    runner,
    probe: new LinuxPathProbe({ runner }),
    uptimeMs: () => 0,
  });
  const query = { protocol: 83, within: DESIRED.networks, exact: [] };
  const steps: readonly [
    what: string,
    run: () => Promise<unknown>,
    programs: readonly string[],
  ][] = [
    ["host", () => network.read(undefined), ["grep", "ip", "ip", "nft"]],
    ["facts", () => network.readInterfaces(), ["ip", "ip"]],
    ["prefixes", () => routes.read(query), ["ip", "ip"]],
    ["routes", () => routes.read(query), ["ip", "ip"]],
    [
      "neighbours",
      () => neighbours.wake(DESIRED.subnets, () => false),
      ["ip"],
    ],
  ];
  for (const [what, run, programs] of steps) {
    ran = [];
    await run();
    assert.deepEqual(ran.sort(), programs, what);
  }
});

Deno.test("HostReconciler masquerades only traffic that leaves the cluster's networks", async () => {
  await using outside = await NetnsHost.create();
  await using host = await NetnsHost.create();
  await using container = await NetnsHost.create();
  await connectOutside(host, outside);
  const reconciler = reconcilerOf(host);
  const desired = { ...DESIRED, masquerade: true };
  const { checks } = await reconciler.setDesired(desired);
  assert.deepEqual(wrong(checks), []);
  await attachContainer(host, container, BRIDGE);
  await outside.serveSource();

  const rewritten = [["198.18.0.1", "198.18.0.2"], [
    "2001:db8:18::1",
    "2001:db8:18::2",
  ]] as const;
  const kept = [["172.16.4.2", "172.16.0.2"], [
    "fd00:16:0:1::2",
    "fd00:16::2",
  ]] as const;
  for (const [address, source] of [...rewritten, ...kept]) {
    assert.equal(await container.sourceAt(address), source, address);
  }

  const drifts = [
    "nft flush ruleset",
    "nft flush table inet stellar-net",
    "nft insert rule inet stellar-net postrouting return",
    "nft add chain inet stellar-net other",
  ];
  for (const drift of drifts) {
    await host.sh(drift);
    const report = await reconciler.reconcile();
    assert.equal(report.changes.length, 1, drift);
    assert.deepEqual(wrong(report.checks), [], drift);
    assert.equal(await container.sourceAt("198.18.0.1"), "198.18.0.2", drift);
  }
  assert.deepEqual((await reconciler.reconcile()).changes, []);

  // Another agent finds the table as it is, and takes over.
  const next = reconcilerOf(host);
  assert.deepEqual((await next.setDesired(desired)).changes, []);
  await next.setDesired(DESIRED);
  assert.equal(await container.sourceAt("198.18.0.1"), "172.16.0.2");
  assert.equal(await host.sh("nft list ruleset"), "");
});

Deno.test("HostReconciler restores flushed rules without an event", async () => {
  await using host = await NetnsHost.create();
  let hasHeard = false;
  const follower: CommandFollower = {
    async *follow(command, options) {
      for await (const text of host.follower.follow(command, options)) {
        hasHeard = true;
        yield text;
      }
    },
  };
  const applied = new Notifier();
  const runner: CommandRunner = {
    async run(command) {
      const output = await host.runner.run(command);
      if (command.program === "nft" && command.stdin) applied.notify();
      return output;
    },
  };
  const network = new LinuxHostNetwork({ runner, follower });
  const reconciler = new HostReconciler({
    network,
    apply: true,
    intervalMs: 3_600_000,
  });
  reconciler.start();
  const abort = new AbortController();
  const follow = async () => {
    for await (const _ of network.monitor(abort)) reconciler.changed();
  };
  const following = follow();
  try {
    await reconciler.setDesired({ ...DESIRED, masquerade: true });
    await applied.notified();
    const before = await host.sh("nft list ruleset");
    while (!hasHeard) {
      await host.sh("nft add table inet other", "nft delete table inet other");
    }
    await host.sh("nft flush ruleset");
    await applied.notified();
    assert.equal(await host.sh("nft list ruleset"), before);
  } finally {
    abort.abort();
    await following;
    await reconciler.stop();
  }
});

Deno.test("HostReconciler finds rules of others that rewrite packets between hosts", async () => {
  await using outside = await NetnsHost.create();
  await using host = await NetnsHost.create();
  await using container = await NetnsHost.create();
  await connectOutside(host, outside);
  const reconciler = reconcilerOf(host);
  await reconciler.setDesired(DESIRED);
  await attachContainer(host, container, BRIDGE);
  await outside.serveSource();
  assert.deepEqual(wrong(await reconciler.examine()), []);
  assert.equal(await container.sourceAt("172.16.4.2"), "172.16.0.2");
  // As the CNI bridge plugin with "ipMasq": true.
  await host.sh(
    "iptables-nft -t nat -N CNI-1",
    'iptables-nft -t nat -A CNI-1 -d 172.16.0.0/22 -m comment --comment "id: 1" -j ACCEPT',
    "iptables-nft -t nat -A CNI-1 ! -d 224.0.0.0/4 -j MASQUERADE",
    "iptables-nft -t nat -A POSTROUTING -s 172.16.0.2 -j CNI-1",
  );
  assert.equal(await container.sourceAt("172.16.4.2"), "198.18.0.2");
  assert.match(
    wrong(await reconciler.examine()).join("\n"),
    /^source address: "ip nat CNI-1: .*MASQUERADE.*" rewrites packets that go to 172.16.0.0\/12; .*"ipMasq": false/,
  );
});

Deno.test("HostReconciler leaves a table of its name that others made as it is", async () => {
  await using host = await NetnsHost.create(
    "nft 'table inet stellar-net { chain mine { tcp dport 22 accept; }; }'",
  );
  const before = await host.sh("nft list ruleset");
  const reconciler = reconcilerOf(host);
  for (const masquerade of [true, false]) {
    const { checks } = await reconciler.setDesired({ ...DESIRED, masquerade });
    assert.match(wrong(checks).join("\n"), /that the agent has not made; /);
    assert.equal(await host.sh("nft list ruleset"), before);
  }
});

Deno.test("HostReconciler only looks where it may not change anything", async () => {
  await using host = await NetnsHost.create();
  const runner: CommandRunner = {
    run: (command) =>
      host.runner.run({
        ...command,
        program: "setpriv",
        args: ["--reuid=65534", "--clear-groups", command.program]
          .concat(command.args),
      }),
  };
  const reconciler = new HostReconciler({
    network: new LinuxHostNetwork({ runner, follower: host.follower }),
    apply: true,
  });
  const { changes, checks } = await reconciler.setDesired({
    ...DESIRED,
    masquerade: true,
  });
  assert.deepEqual(changes, []);
  assert.deepEqual(
    checks.filter(({ status }) => status !== "ok").map(({ name }) => name),
    ["privileges", "packet filter", "bridge", "gateway", "gateway"]
      .concat("forwarding", "forwarding"),
  );
  assert.equal((await host.sh("ip -brief link show type bridge")).trim(), "");
});

Deno.test("HostReconciler undoes its part when the node has left", async () => {
  await using host = await NetnsHost.create();
  const reconciler = reconcilerOf(host);
  await reconciler.setDesired({ ...DESIRED, masquerade: true });
  await host.sh(`ip address add 192.0.2.7/24 dev ${BRIDGE}`);
  const { bridge } = DESIRED;
  await reconciler.setDesired({ ...NOTHING, bridge: bridge! });
  assert.deepEqual(await addressesOf(host, BRIDGE), ["192.0.2.7/24"]);
  assert.equal(await host.sh("nft list ruleset"), "");
});

Deno.test("LinuxHostNetwork.monitor() announces changes of others, and none of its own", async () => {
  await using host = await NetnsHost.create();
  const network = new LinuxHostNetwork(host);
  const abort = new AbortController();
  const announced = new Notifier();
  let events = 0;
  const follow = async () => {
    for await (const _ of network.monitor(abort)) {
      events++;
      announced.notify();
    }
  };
  const following = follow();
  try {
    // The first event: the monitor listens.
    await announced.notified();
    for (let i = 1; i <= 3; i++) {
      const rules = masqueradeRules({
        subnets: [parsePrefix("172.16.0.0/22")],
        networks: [parsePrefix(`10.${i}.0.0/16`)],
      });
      await network.apply([{ kind: "replace_table", rules }]);
      await host.sh("nft add table inet other", "nft delete table inet other");
      await announced.notified();
    }
    /** The events, once none has come for a while. */
    const settled = async () => {
      for (let before = -1; before !== events;) {
        before = events;
        await delay(1_500);
      }
      return events;
    };
    // Of each round the two transactions of others, at most.
    assert.ok(events <= 7, `${events} events`);
    await network.apply([{ kind: "delete_table" }]);
    const before = await settled();
    await network.apply([{ kind: "replace_table", rules: ["accept"] }]);
    assert.equal(await settled(), before);
  } finally {
    abort.abort();
    await following;
  }
});
