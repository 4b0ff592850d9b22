import assert from "node:assert/strict";
import type { RouteMode } from "../../src/config/config.ts";
import { checkAddresses } from "../../src/doctor/address_checks.ts";
import { checkPath } from "../../src/doctor/path_checks.ts";
import {
  type Check,
  formatCheck,
  formatFix,
} from "../../src/host/checks/check.ts";
import { LinuxHostNetwork } from "../../src/host/linux_network.ts";
import { LinuxPathProbe } from "../../src/host/linux_path_probe.ts";
import { formatAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import { RouteReconciler } from "../../src/routes/reconciler.ts";
import { pathFacts, peerNode, PROTOCOL } from "../doctor/path_world.ts";
import { desire } from "../routes/plan/kernels.ts";
import { attachContainer, NetnsHost } from "../support/netns_host.ts";

const BRIDGE = "br-sn";
const SUBNETS = ["172.16.0.0/22", "fd00:16::/64"].map(parsePrefix);
const PEER = {
  subnets: "172.16.4.0/22 fd00:16:0:1::/64",
  advertised: "198.18.0.2 2001:2::2",
};
const DESIRED = ["172.16.4.0/22 via 198.18.0.2"]
  .concat("fd00:16:0:1::/64 via 2001:2::2");

/** Two hosts on one link, the first with a bridge and a container on it. */
class Hosts implements AsyncDisposable {
  readonly probe: LinuxPathProbe;

  private constructor(
    readonly host: NetnsHost,
    readonly peer: NetnsHost,
    readonly container: NetnsHost,
  ) {
    this.probe = new LinuxPathProbe(host);
  }

  static async create(): Promise<Hosts> {
    const [host, peer, container] = await Promise.all([
      NetnsHost.create(),
      NetnsHost.create(),
      NetnsHost.create(),
    ]);
    await host.sh(
      `ip link add up0 type veth peer name eth0 netns ${peer.name}`,
      "ip address add 198.18.0.1/24 dev up0",
      "ip address add 2001:2::1/64 dev up0 nodad",
      "ip link set up0 up",
      `ip link add ${BRIDGE} type bridge`,
      `ip link set ${BRIDGE} up`,
      `ip address add 172.16.0.1/22 dev ${BRIDGE}`,
      `ip address add fd00:16::1/64 dev ${BRIDGE} nodad`,
      "echo 1 > /proc/sys/net/ipv4/ip_forward",
      "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
    );
    await peer.sh(
      "ip address add 198.18.0.2/24 dev eth0",
      "ip address add 2001:2::2/64 dev eth0 nodad",
      "ip link set eth0 up",
    );
    await attachContainer(host, container, BRIDGE);
    // IPv6 is not there until the kernel has noticed the carrier.
    await host.sh(
      ...["2001:2::2", "fd00:16::2"].map((address) =>
        `ping -c 1 -w 10 -i 0.2 ${address}`
      ),
      "ip neighbour flush dev up0",
    );
    return new Hosts(host, peer, container);
  }

  /** Lets an agent's routes be set, and checks the path to the peer. */
  async check(
    options: { readonly mode?: RouteMode; readonly advertised?: string } = {},
  ): Promise<Check[]> {
    const { mode = "apply", advertised = PEER.advertised } = options;
    const reconciler = new RouteReconciler({
      port: new IpRoutes(this.host),
      mode,
      protocol: PROTOCOL,
      now: () => 0,
    });
    try {
      reconciler.setDesired(DESIRED.map((text) => desire(text)));
      const report = await reconciler.reconcile();
      const network = new LinuxHostNetwork(this.host);
      const interfaces = await network.readInterfaces();
      const peer = peerNode({ ...PEER, advertised });
      const facts = pathFacts({ subnets: SUBNETS, report, interfaces });
      return await checkPath(peer, this.probe, facts);
    } finally {
      await reconciler.stop();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of [this.container, this.host, this.peer]) {
      await host[Symbol.asyncDispose]();
    }
  }
}

/** What is wrong, as lines. */
function wrong(checks: readonly Check[]): string[] {
  return checks.filter(({ status }) => status !== "ok").map(formatCheck);
}

Deno.test("checkPath() finds a path as it should be", async () => {
  await using hosts = await Hosts.create();
  const checks = await hosts.check();
  assert.deepEqual(wrong(checks), []);
  const mac = (await hosts.peer.sh("cat /sys/class/net/eth0/address")).trim();
  assert.deepEqual(checks.map(formatCheck), [
    'peer: "b" is ready',
    'subnet: "b" owns 172.16.4.0/22',
    'subnet: "b" owns fd00:16:0:1::/64',
    'next hop: 198.18.0.2 is directly connected, on "up0"',
    `neighbour: 198.18.0.2 is ${mac} on "up0" (REACHABLE)`,
    'route: 172.16.4.0/22 via 198.18.0.2 on "up0" of node "b" is in the kernel, with our protocol 83',
    'mtu: packets of 1500 bytes, the MTU of "up0", get to 198.18.0.2',
    'next hop: 2001:2::2 is directly connected, on "up0"',
    `neighbour: 2001:2::2 is ${mac} on "up0" (REACHABLE)`,
    'route: fd00:16:0:1::/64 via 2001:2::2 on "up0" of node "b" is in the kernel, with our protocol 83',
    'mtu: packets of 1500 bytes, the MTU of "up0", get to 2001:2::2',
    "peer's agent: http://198.18.0.2:9000 answers in 0 ms",
    'clock: the clock of "b" is 0.0 s ahead of this host\'s',
    "version: both run 1.2.3",
  ]);
});

/** A mishap: commands on the host, commands on the peer, and what is found. */
interface Row {
  readonly name: string;
  readonly host?: readonly string[];
  readonly peer?: readonly string[];
  readonly options?: Parameters<Hosts["check"]>[0];
  /** One for each line. */
  readonly wrong: readonly RegExp[];
  /** Whether each line's last part is a command that fixes it. */
  readonly hasCommands?: boolean;
}

const ROWS: readonly Row[] = [
  {
    name: "nobody has the next hop",
    peer: ["ip address delete 198.18.0.2/24 dev eth0"],
    wrong: [
      /^neighbour: nobody on "up0" answers for 198.18.0.2 \((INCOMPLETE|FAILED)\); the host "b" is down, /,
    ],
  },
  {
    name: "a peer that falls silent",
    host: ["ping -c 1 -w 5 198.18.0.2", "ping -c 1 -w 5 2001:2::2"],
    peer: [
      "nft 'table netdev t { chain c { type filter hook ingress device eth0 priority 0; policy drop; }; }'",
    ],
    wrong: [
      /^mtu: 198.18.0.2 answers no ping; /,
      /^mtu: 2001:2::2 answers no ping; /,
    ],
  },
  {
    name: "a peer with a smaller MTU",
    peer: ["ip link set eth0 mtu 1390"],
    wrong: ["198.18.0.2", "2001:2::2"].map((address) =>
      new RegExp(
        `^mtu: packets of 1394 bytes get to ${address}, larger ones do not: "up0" has an MTU of 1500, and "br-sn" 1500; large packets .* "mtu": 1394 in .*: ip link set dev up0 mtu 1394 && ip link set dev br-sn mtu 1394$`,
      )
    ),
  },
  {
    name: "a peer with a smaller MTU, and a bridge that has it, too",
    host: ["ip link set br-sn mtu 1400"],
    peer: ["ip link set eth0 mtu 1400"],
    wrong: ["198.18.0.2", "2001:2::2"].map((address) =>
      new RegExp(
        `^mtu: packets of 1404 bytes get to ${address}, .* and "br-sn" 1400; containers are not affected; .* mtu 1400$`,
      )
    ),
  },
  {
    name: "a route of others in the way",
    hasCommands: true,
    host: ["ip route add 172.16.4.0/22 via 198.18.0.9 proto static metric 50"],
    wrong: [
      /^route: 172.16.4.0\/22 of node "b": another route is there and stays: .*; to fix it: ip route delete 172.16.4.0\/22 via 198.18.0.9 dev up0 proto static metric 50$/,
    ],
  },
  {
    name: "a route of others to a part, the gateway in it",
    hasCommands: true,
    host: ["ip route add 172.16.4.0/24 via 198.18.0.9"],
    wrong: [
      /^route: packets to 172.16.4.1 leave via 198.18.0.9 on "up0", not via 198.18.0.2 on "up0": 172.16.4.0\/24 .* is for a part of it alone, and wins; .*: ip route delete 172.16.4.0\/24 via 198.18.0.9 dev up0$/,
    ],
  },
  {
    name: "a route of others to another part",
    hasCommands: true,
    host: ["ip -6 route add unreachable fd00:16:0:1:8000::/65"],
    wrong: [
      /^route: unreachable fd00:16:0:1:8000::\/65 .*takes a part of fd00:16:0:1::\/64 elsewhere; .*: ip -6 route delete unreachable fd00:16:0:1:8000::\/65/,
    ],
  },
  {
    name: "a policy rule for this node's containers",
    hasCommands: true,
    host: [
      "ip rule add from 172.16.0.0/22 lookup 100",
      "ip route add default via 198.18.0.9 table 100",
    ],
    wrong: [
      /^route: packets to 172.16.4.1 from containers on "br-sn" leave via 198.18.0.9 on "up0", .*: a policy rule leads to table 100, which has 0.0.0.0\/0 via 198.18.0.9 dev up0; .*: ip rule delete preference \d+/,
    ],
  },
  {
    name: "a policy rule that throws packets away",
    hasCommands: true,
    host: ["ip rule add to 172.16.4.0/22 blackhole"],
    wrong: [
      /^route: packets to 172.16.4.1 go nowhere: a route or a rule throws it away; .*: ip rule delete preference \d+/,
    ],
  },
  {
    name: "a host that does not forward",
    host: ["echo 0 > /proc/sys/net/ipv4/ip_forward"],
    wrong: [
      /^route: packets to 172.16.4.1 from containers on "br-sn" go nowhere: .* this host does not forward; /,
    ],
  },
  {
    name: "a next hop behind a gateway, another nowhere",
    host: ["ip route add default via 198.18.0.9"],
    options: { advertised: "198.18.7.2 2001:db8::2" },
    wrong: [
      /^next hop: 198.18.7.2 is not directly connected: it is reached through 198.18.0.9 on "up0"; /,
      /^next hop: 2001:db8::2: no route leads there; /,
    ],
  },
  {
    name: "a next hop that is this host",
    options: { advertised: "198.18.0.1 2001:2::1" },
    wrong: [
      /^next hop: 198.18.0.1 is an address of this host, on "up0"; /,
      /^next hop: 2001:2::1 is an address of this host, on "up0"; /,
    ],
  },
  {
    name: "routes off, with one of others and one missing",
    hasCommands: true,
    host: [
      "ip route add 172.16.4.0/22 via 198.18.0.2",
      "ip -6 route add default via 2001:2::9",
    ],
    options: { mode: "off" },
    wrong: [
      /^route: packets to fd00:16:0:1::1 leave via 2001:2::9 on "up0", .*: there is no route but ::\/0 .*: ip route add fd00:16:0:1::\/64 via 2001:2::2 dev up0$/,
    ],
  },
  {
    name: "routes planned alone",
    hasCommands: true,
    options: { mode: "plan" },
    wrong: [
      /^route: 172.16.4.0\/22 of node "b": it is not in the kernel yet; .*: ip route add 172.16.4.0\/22 via 198.18.0.2 dev up0 proto 83/,
      /^route: fd00:16:0:1::\/64 of node "b": it is not in the kernel yet; /,
    ],
  },
];

Deno.test("checkPath() finds what is wrong with a path", async (t) => {
  for (const { name, host = [], peer = [], options, wrong: lines } of ROWS) {
    await t.step(name, async () => {
      await using hosts = await Hosts.create();
      await hosts.host.sh(...host);
      await hosts.peer.sh(...peer);
      const found = wrong(await hosts.check(options));
      assert.equal(found.length, lines.length, found.join("\n"));
      lines.forEach((line, at) => assert.match(found[at]!, line));
    });
  }
});

Deno.test("checkPath() tells commands that fix a path", async (t) => {
  const rows = ROWS.filter(({ hasCommands }) => hasCommands);
  for (const { name, host = [], options } of rows) {
    await t.step(name, async () => {
      await using hosts = await Hosts.create();
      await hosts.host.sh(...host);
      const checks = await hosts.check(options);
      const fixes = checks.filter(({ status }) => status !== "ok")
        .map(({ fix }) => formatFix(fix));
      assert.notDeepEqual(fixes, []);
      await hosts.host.sh(...fixes);
      assert.deepEqual(wrong(await hosts.check(options)), []);
    });
  }
});

Deno.test("checkAddresses() finds addresses in use that no container holds, and no remains of others", async () => {
  await using hosts = await Hosts.create();
  const { host, container, probe } = hosts;
  await host.sh(
    `ip neighbour add 172.16.0.77 lladdr 02:00:00:00:00:77 dev ${BRIDGE} nud stale`,
    `ip neighbour add 172.16.0.78 dev ${BRIDGE} nud failed`,
  );
  const say = (address: string) => `ping -c 1 -w 5 -I ${address}`;
  await container.sh(
    `${say("172.16.0.2")} 172.16.0.1`,
    "ip address add fd00:16::9/64 dev eth0 nodad",
    `${say("fd00:16::2")} fd00:16::1`,
  );
  const held = new Set(["172.16.0.2", "fd00:16::2"]);
  const check = async () => {
    const interfaces = await new LinuxHostNetwork(host).readInterfaces();
    return await checkAddresses(probe, {
      subnets: SUBNETS,
      interfaces,
      isHeld: (address) => Promise.resolve(held.has(formatAddress(address))),
      onUsed: () => {},
    });
  };
  assert.deepEqual((await check()).map(formatCheck), [
    'address: each address of 172.16.0.0/22 in use on "br-sn" is held by a container or reserved',
    'address: each address of fd00:16::/64 in use on "br-sn" is held by a container or reserved',
  ]);

  await container.sh(
    "ip address add 172.16.0.9/22 dev eth0",
    `${say("172.16.0.9")} 172.16.0.1`,
    `${say("fd00:16::9")} fd00:16::1`,
    // A hidden user is found all the same.
    "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all",
  );
  const mac = (await container.sh("cat /sys/class/net/eth0/address")).trim();
  const found = wrong(await check());
  const line = (address: string) =>
    `address: ${address} is in use by ${mac} on "br-sn", behind its port "veth0", and no container holds it; ` +
    "no container gets it while it is in use; " +
    `to fix it: stellar-net ip reserve ${address} --reason "in use by ${mac}"`;
  assert.deepEqual(found, [
    line("172.16.0.9"),
    line("fd00:16::9"),
  ]);
});
