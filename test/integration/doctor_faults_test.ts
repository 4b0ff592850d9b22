import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import type { LabContainer } from "../lab/lab_container.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { waitFor } from "../support/wait_for.ts";

interface Check {
  readonly name: string;
  readonly status: "ok" | "warning" | "failed";
  readonly found: string;
  readonly means: string | null;
  readonly mend: string | null;
  readonly command: string | null;
  readonly harm: string | null;
}

/** A host with a container, and a container of another host that it talks to. */
interface World {
  readonly host: LabHost;
  readonly peer: LabHost;
  readonly container: LabContainer;
  readonly second: LabContainer;
  /** The address of the peer's container. */
  readonly target: string;
  /** The host's end of the container's link. */
  readonly veth: string;
  /** The container's address. */
  readonly address: string;
}

interface Fault {
  readonly name: string;
  /** What causes it, typed on the host; in the container where `isInside`. */
  readonly cause: (world: World) => string;
  readonly isInside?: boolean;
  /** The finding that names the cause. */
  readonly finding: RegExp;
  /** What the operator types where no command fixes it. Default: the command of the finding. */
  readonly undo?: (world: World) => string;
  /** Whether the finding has a command. Default true. */
  readonly hasCommand?: boolean;
  /** Whether the peer has the fault, and the host's doctor shows it. */
  readonly causeAtPeer?: boolean;
  /** Whether the peer has the fault, and its own doctor shows it. */
  readonly isElsewhere?: boolean;
  /** Whether packets still get through. */
  readonly isHarmless?: boolean;
}

/** Faults that the agent repairs by itself. */
const REPAIRED: readonly (readonly [name: string, cause: string])[] = [
  ["its routes are flushed", "ip route flush proto 83"],
  ["forwarding is off", "sysctl -qw net.ipv4.ip_forward=0"],
  [
    "the uplink was down",
    "ip link set eth0 down; sleep 0.2; ip link set eth0 up; ip address replace 2001:2::12/64 dev eth0 nodad",
  ],
];

const FAULTS: readonly Fault[] = [
  {
    name: "the bridge is down",
    cause: () => "ip link set dev stellar0 down",
    finding: /^bridge: "stellar0" is down/,
  },
  {
    name: "the gateway's address is gone",
    cause: () => "ip address flush dev stellar0",
    finding:
      /^gateway: 172\.16\.4\.1\/22 is on no interface, and 2 containers hold addresses/,
  },
  ...["forward", "input", "prerouting"].map((hook): Fault => ({
    name: `a rule of nft drops in ${hook}`,
    cause: () =>
      `nft 'add table ip fault; delete table ip fault; add table ip fault; add chain ip fault c { type filter hook ${hook} priority -5; }; add rule ip fault c ip saddr 172.16.0.0/12 drop'`,
    finding:
      /^packet filter: "ip fault c: ip saddr 172\.16\.0\.0\/12 drop" drops packets of containers/,
    // Packets between containers pass this host by.
    isHarmless: hook === "input",
  })),
  {
    name: "a rule of nft drops what comes in by the uplink",
    cause: () =>
      `nft 'add table inet fault; add chain inet fault c { type filter hook forward priority -5; }; add rule inet fault c iifname "eth0" drop'`,
    finding: /^packet filter: "inet fault c: iifname "eth0" drop" drops/,
  },
  {
    name: "a rule of iptables drops in FORWARD",
    cause: () => "iptables -I FORWARD -s 172.16.0.0/12 -j DROP",
    finding: /^packet filter: "ip filter FORWARD: .*drop" drops packets/,
  },
  {
    name: "a rule of iptables drops in INPUT",
    cause: () => "iptables -I INPUT -s 172.16.0.0/12 -j DROP",
    finding: /^packet filter: "ip filter INPUT: .*drop" drops packets/,
    isHarmless: true,
  },
  {
    name: "a rule of iptables drops what leaves by the uplink",
    cause: () => "iptables -I FORWARD -o eth0 -j DROP",
    finding:
      /^packet filter: "ip filter FORWARD: oifname "eth0" drop" drops packets/,
  },
  {
    name: "a rule of iptables refuses in FORWARD",
    cause: () => "iptables -I FORWARD -d 172.16.0.0/12 -j REJECT",
    finding: /^packet filter: "ip filter FORWARD: .*" drops packets/,
  },
  {
    name: "a rule of iptables drops in raw PREROUTING",
    cause: () => "iptables -t raw -I PREROUTING -s 172.16.0.0/12 -j DROP",
    finding: /^packet filter: "ip raw PREROUTING: .*drop" drops packets/,
  },
  {
    name: "a rule of nft drops some packets",
    cause: () =>
      "nft 'add table ip fault; delete table ip fault; add table ip fault; add chain ip fault c { type filter hook forward priority -5; }; add rule ip fault c meta l4proto icmp ip saddr 172.16.4.2 drop'",
    finding: /^packet filter: "ip fault c: .*drop" may be what drops packets/,
  },
  {
    name: "a container's link is not a port of the bridge",
    cause: ({ veth }) => `ip link set dev ${veth} nomaster`,
    finding:
      /^container: container ".*": its link ".*" is not a port of "stellar0"/,
  },
  {
    name: "a container's link is down",
    cause: ({ veth }) => `ip link set dev ${veth} down`,
    finding: /^container: container ".*": its link ".*" is down/,
  },
  {
    name: "a container has no default route",
    isInside: true,
    cause: () => "ip route delete default",
    finding: /^container: container ".*": it has no route to the cluster/,
  },
  {
    name: "a container has lost its address",
    isInside: true,
    cause: () => "ip address flush dev eth0",
    finding: /^container: container ".*": its "eth0" does not have 172/,
    undo: ({ container }) =>
      `nsenter --net=/run/netns/${container.netns} ip route add default via 172.16.4.1`,
  },
  {
    name: "a container's interface is down",
    isInside: true,
    cause: () => "ip link set dev eth0 down",
    finding: /^container: container ".*": its "eth0" is down/,
    undo: ({ container }) =>
      `nsenter --net=/run/netns/${container.netns} ip route add default via 172.16.4.1`,
  },
  {
    name: "a wrong permanent neighbour entry for the container",
    cause: ({ address }) =>
      `ip neighbour replace ${address} lladdr 02:00:00:00:00:99 nud permanent dev stellar0`,
    finding:
      /^container: container ".*": a permanent neighbour entry of this host says/,
  },
  {
    name: "a wrong permanent neighbour entry for the peer",
    cause: ({ peer }) =>
      `ip neighbour replace ${peer.address} lladdr 02:00:00:00:00:99 nud permanent dev eth0`,
    finding: /^neighbour: a permanent entry says that 198\.18\.0\.11 is/,
  },
  {
    name: "a route of others to a part of a peer's subnet",
    cause: () => "ip route add 172.16.0.0/24 via 198.18.0.99",
    finding:
      /^route: packets to 172\.16\.0\.1 leave via 198\.18\.0\.99 .*: 172\.16\.0\.0\/24 via/,
  },
  {
    name: "a route of others to a peer's subnet",
    cause: () =>
      "ip route add 172.16.0.0/22 via 198.18.0.99 proto static metric 5",
    finding:
      /^route: 172\.16\.0\.0\/22 of node "host1": another route is there/,
  },
  {
    name: "the bridge has the gateway of another subnet",
    cause: () => "ip address add 172.16.8.1/22 dev stellar0",
    finding:
      /^bridge: "stellar0" has 172\.16\.8\.1\/22, the gateway of a subnet that this node does not have/,
    isHarmless: true,
  },
  {
    name: "a blackhole for a container's address",
    cause: () => "ip route add blackhole 172.16.0.2/32",
    finding: /^route: blackhole 172\.16\.0\.2\/32 takes a part of/,
  },
  {
    name: "a policy rule leads the peer's subnet elsewhere",
    cause: () =>
      "ip rule add to 172.16.0.0/22 lookup 77 && ip route add blackhole default table 77",
    finding: /^route: packets to 172\.16\.0\.1 go nowhere: /,
    undo: () =>
      "ip rule del to 172.16.0.0/22 lookup 77; ip route flush table 77",
    hasCommand: false,
  },
  {
    name: "the packet filter of a container drops everything",
    isInside: true,
    cause: () => "iptables -I INPUT -j DROP",
    finding: /^container: container ".*": 172\.16\.4\.2 does not answer a ping/,
    undo: ({ container }) =>
      `nsenter --net=/run/netns/${container.netns} iptables -F INPUT`,
    hasCommand: false,
  },
  {
    name: "the peer's API port is blocked",
    causeAtPeer: true,
    cause: () =>
      "nft 'add table ip fault; delete table ip fault; add table ip fault; add chain ip fault c { type filter hook input priority -5; }; add rule ip fault c tcp dport 9000 drop'",
    finding: /^peer's agent: http:\/\/198\.18\.0\.11:9000 does not answer/,
    undo: () => "nft delete table ip fault",
    isHarmless: true,
    hasCommand: false,
  },
  {
    name: "one address on two containers",
    cause: ({ second, address }) =>
      `nsenter --net=/run/netns/${second.netns} ip address add ${address}/22 dev eth0`,
    finding: /^container: container ".*": 172\.16\.4\.2 is also an address of/,
    undo: ({ second, address }) =>
      `nsenter --net=/run/netns/${second.netns} ip address delete ${address}/22 dev eth0; ip neighbour flush dev stellar0`,
    isHarmless: true,
    hasCommand: false,
  },
  {
    name: "an address in use that no container holds",
    isInside: true,
    cause: () =>
      "ip address add 172.16.4.9/22 dev eth0 && ping -c 1 -w 5 -I 172.16.4.9 172.16.4.1",
    finding:
      /^address: 172\.16\.4\.9 is in use by .*, and no container holds it/,
    undo: () => "stellar-net ip reserve 172.16.4.9",
    isHarmless: true,
    hasCommand: false,
  },
  {
    name: "the peer's bridge is down",
    isElsewhere: true,
    cause: () => "ip link set dev stellar0 down",
    finding: /^bridge: "stellar0" is down/,
  },
  {
    name: "a rule of nft drops in forward at the peer",
    isElsewhere: true,
    cause: () =>
      "nft 'add table ip fault; delete table ip fault; add table ip fault; add chain ip fault c { type filter hook forward priority -5; }; add rule ip fault c ip daddr 172.16.0.0/22 drop'",
    finding:
      /^packet filter: "ip fault c: ip daddr 172\.16\.0\.0\/22 drop" drops/,
  },
];

async function doctor(host: LabHost, peer: string): Promise<readonly Check[]> {
  const { stdout } = await host.exec("stellar-net", [
    ...["doctor", peer, "--json"],
  ]);
  return (JSON.parse(stdout) as { checks: readonly Check[] }).checks;
}

function wrongOf(checks: readonly Check[]): string[] {
  return checks.filter(({ status }) => status === "failed")
    .map(({ name, found }) => `${name}: ${found}`);
}

async function gotThrough({ container, target }: World): Promise<boolean> {
  const { code } = await container.exec("ping", [
    ...["-n", "-c", "1", "-w", "1", target],
  ]);
  return code === 0;
}

Deno.test("doctor names each fault, and the command that it gives fixes it", async (t) => {
  await using lab = await Lab.create({ hosts: 2 });
  const [peer, host] = lab.hosts as [LabHost, LabHost];
  const remote = await peer.addContainer("remote");
  const container = await host.addContainer("local");
  const shown = await host.must("ip", ["-json", "link", "show"]);
  const veth = (JSON.parse(shown) as { ifname: string; master?: string }[])
    .find(({ master }) => master === "stellar0")!.ifname;
  const second = await host.addContainer("second");
  const world: World = {
    second,
    ...{ host, peer, container, veth },
    target: remote.address,
    address: container.address,
  };
  await waitFor("the first packet", () => gotThrough(world));
  await t.step("a healthy host", async () => {
    assert.deepEqual(wrongOf(await doctor(host, "host1")), []);
    assert.deepEqual(wrongOf(await doctor(peer, "host2")), []);
  });
  for (const [name, cause] of REPAIRED) {
    await t.step(`the agent repairs it: ${name}`, async () => {
      await host.must("sh", ["-c", cause]);
      await waitFor("a packet", () => gotThrough(world));
      assert.deepEqual(wrongOf(await doctor(host, "host1")), []);
    });
  }
  for (const fault of FAULTS) {
    await t.step(fault.name, async () => {
      const { cause, isInside = false, isHarmless = false } = fault;
      const at = fault.isElsewhere ? peer : host;
      const cured = fault.causeAtPeer ? peer : at;
      const run = isInside ? container : cured;
      await run.must("sh", ["-c", cause(world)]);
      if (!isHarmless) {
        await waitFor("no packet", async () => !await gotThrough(world));
      }
      const other = fault.isElsewhere ? "host2" : "host1";
      const checks = await doctor(at, other);
      const wrong = wrongOf(checks);
      const found = checks.find(({ name, found }) =>
        fault.finding.test(`${name}: ${found}`)
      );
      assert.ok(found, wrong.join("\n"));
      const lines = [found.command, fault.undo?.(world)]
        .filter((line) => line !== null && line !== undefined);
      assert.ok(found.means && found.mend);
      assert.doesNotMatch(found.mend, /node remove/);
      const { hasCommand = true } = fault;
      assert.equal(found.command !== null, hasCommand, JSON.stringify(found));
      for (const line of lines) await cured.must("sh", ["-c", line!]);
      await waitFor("a packet", () => gotThrough(world));
      const after = await doctor(at, other);
      assert.deepEqual(wrongOf(after), []);
      const stays = after.filter(({ name, found, status }) =>
        status !== "ok" && fault.finding.test(`${name}: ${found}`)
      );
      assert.deepEqual(stays, []);
    });
  }
});
