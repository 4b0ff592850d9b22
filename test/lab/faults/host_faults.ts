import type { Fault } from "./fault.ts";

/** The sentence of the peer while nothing gets to the host. */
const LOST =
  'packets: no packet gets from 172.16.0.1 to 172.16.4.1, the gateway of "host2"';

/** The sentence of the peer about what the agent here reports. */
function reported(sentence: string): string {
  return `peer's report: ${sentence}; …`;
}

const NFT_HOOK = "priority -5; }";

/** Makes a table of nft with one chain and one rule. */
function nft(
  family: string,
  { hook, rule }: { readonly hook: string; readonly rule: string },
): () => string {
  const chain =
    `add chain ${family} fault c { type filter hook ${hook} ${NFT_HOOK}`;
  return () =>
    `nft 'add table ${family} fault; delete table ${family} fault; add table ${family} fault; ${chain}; add rule ${family} fault c ${rule}'`;
}

/** Calls the agent for containers that are numbered. */
function callForMany(
  call: "BatchAllocate" | "BatchRelease",
  first: string,
  last: string,
): string {
  const items = [
    'BEGIN { printf "{\\"items\\":[" }',
    '{ printf "%s{\\"owner\\":{\\"containerId\\":\\"c%d\\"}}", (NR > 1 ? "," : ""), $1 }',
    'END { printf "]}" }',
  ].join(" ");
  return `seq ${first} ${last} | awk '${items}' | curl -sf --unix-socket "$STELLAR_NET_SOCKET" -H content-type:application/json --data @- http://agent/stellar.net.v1.IpamService/${call} >/dev/null`;
}

/** Allocates a thousand addresses at once, and then one by one what is left of a `/22`. */
const FILL_SUBNET = `${
  callForMany("BatchAllocate", "1", "1000")
} && for i in $(seq 1001 1022); do ${
  callForMany("BatchAllocate", "$i", "$i")
} || break; done`;

/** Releases what {@linkcode FILL_SUBNET} has allocated. */
const EMPTY_SUBNET = `${callForMany("BatchRelease", "1", "1000")} && ${
  callForMany("BatchRelease", "1001", "1022")
}`;

/** The agent repairs these by itself. */
export const REPAIRED: readonly {
  readonly name: string;
  readonly cause: string;
}[] = [
  { name: "its routes are flushed", cause: "ip route flush proto 83" },
  {
    name: "forwarding is switched off",
    cause: "sysctl -qw net.ipv4.ip_forward=0",
  },
  {
    name: "its uplink goes down and comes up again",
    cause:
      "ip link set eth0 down; sleep 0.2; ip link set eth0 up; ip address replace 2001:2::12/64 dev eth0 nodad",
  },
  {
    name: "a filter gets a policy that drops in `forward`",
    cause: "iptables -P FORWARD DROP",
  },
  { name: "the socket's file is deleted", cause: 'rm "$STELLAR_NET_SOCKET"' },
];

/** Faults of a host without `--bridge`, whose peer has none. */
export const HOST_FAULTS: readonly Fault[] = [
  {
    name: "the bridge is down",
    cause: () => "ip link set dev stellar0 down",
    here: 'bridge: "stellar0" is down',
    there: "green",
    fix: "ip link set dev stellar0 up",
  },
  {
    name: "the gateway's address is gone",
    cause: () => "ip address flush dev stellar0",
    here:
      "gateway: 172.16.4.1/22 is on no interface, and 2 containers hold addresses of its subnet",
    there: "green",
    fix:
      "ip address add 172.16.4.1/22 dev stellar0 && ip link set dev stellar0 up",
  },
  {
    name: "the bridge has the gateway of another subnet",
    cause: () => "ip address add 172.16.8.1/22 dev stellar0",
    here:
      'bridge: "stellar0" has 172.16.8.1/22, the gateway of a subnet that this node does not have',
    there: reported(
      'bridge: "stellar0" has 172.16.8.1/22, the gateway of a subnet that this node does not have',
    ),
    fix: "ip address delete 172.16.8.1/22 dev stellar0",
    isHarmless: true,
  },
  ...["forward", "prerouting", "input", "postrouting"].map((hook): Fault => ({
    name: `a rule of nft drops in \`${hook}\``,
    cause: nft("ip", { hook, rule: "ip saddr 172.16.0.0/12 drop" }),
    here:
      'packet filter: "ip fault c: ip saddr 172.16.0.0/12 drop" drops packets of containers',
    there: hook === "forward"
      ? reported(
        'packet filter: "ip fault c: ip saddr 172.16.0.0/12 drop" drops packets of containers',
      )
      : LOST,
    fix: "nft delete rule ip fault c handle …",
    // Packets between containers pass by the host itself.
    isHarmless: hook === "input",
  })),
  {
    name: "a rule of nft drops on the bridge (family `bridge`)",
    cause: nft("bridge", {
      hook: "prerouting",
      rule: "ip saddr 172.16.4.0/22 drop",
    }),
    here:
      'packet filter: "bridge fault c: ip saddr 172.16.4.0/22 drop" drops packets of containers',
    there: "green",
    fix: "nft delete rule bridge fault c handle …",
  },
  {
    name: "a rule of nft drops at a device (family `netdev`)",
    cause: () =>
      "nft 'add table netdev fault; add chain netdev fault c { type filter hook ingress device eth0 priority -5; }; add rule netdev fault c ip saddr 172.16.0.0/12 drop'",
    here:
      'packet filter: "netdev fault c: ip saddr 172.16.0.0/12 drop" drops packets of containers',
    there: LOST,
    fix: "nft delete rule netdev fault c handle …",
  },
  {
    name: "a rule of nft drops what comes in by the uplink",
    cause: nft("inet", { hook: "forward", rule: 'iifname "eth0" drop' }),
    here:
      'packet filter: "inet fault c: iifname "eth0" drop" drops packets of containers',
    there: reported(
      'packet filter: "inet fault c: iifname "eth0" drop" drops packets of containers',
    ),
    fix: "nft delete rule inet fault c handle …",
  },
  {
    name: "a rule of nft drops some packets, such as ICMP of one container",
    cause: nft("ip", {
      hook: "forward",
      rule: "meta l4proto icmp ip saddr 172.16.4.2 drop",
    }),
    here:
      'packet filter: "ip fault c: … drop" may be what drops packets of containers',
    there: "green",
    fix: "nft delete rule ip fault c handle …",
  },
  {
    name: "a rule of nft drops what is for some containers",
    cause: nft("inet", {
      hook: "forward",
      rule: "ip daddr { 172.16.0.2, 172.16.0.3 } drop",
    }),
    here:
      'packet filter: "inet fault c: ip daddr { 172.16.0.2, 172.16.0.3 } drop" drops packets of some containers',
    there: "green",
    fix: "nft delete rule inet fault c handle …",
  },
  {
    name: "a policy of nft drops in `prerouting`",
    cause: () =>
      "nft 'add table ip fault; delete table ip fault; add table ip fault; add chain ip fault c { type filter hook prerouting priority -5; policy drop; }; add rule ip fault c ip saddr 198.18.0.0/15 accept'",
    here:
      'packet filter: "ip fault c: policy drop" may be what drops packets of containers',
    there: LOST,
    fix: "nft insert rule ip fault c ip saddr 172.16.0.0/12 accept",
  },
  ...[
    ["drops in `FORWARD`", "iptables -I FORWARD -s 172.16.0.0/12 -j DROP"],
    ["refuses in `FORWARD`", "iptables -I FORWARD -d 172.16.0.0/12 -j REJECT"],
  ].map(([what, line]): Fault => ({
    name: `a rule of iptables ${what}`,
    cause: () => line!,
    here: 'packet filter: "ip filter FORWARD: …" drops packets of containers',
    there: reported(
      'packet filter: "ip filter FORWARD: …" drops packets of containers',
    ),
    fix: "nft delete rule ip filter FORWARD handle …",
  })),
  {
    name: "a rule of iptables drops in `INPUT`",
    cause: () => "iptables -I INPUT -s 172.16.0.0/12 -j DROP",
    here:
      'packet filter: "ip filter INPUT: … drop" drops packets of containers',
    there: LOST,
    fix: "nft delete rule ip filter INPUT handle …",
    isHarmless: true,
  },
  {
    name: "a rule of iptables drops what leaves by the uplink",
    cause: () => "iptables -I FORWARD -o eth0 -j DROP",
    here:
      'packet filter: "ip filter FORWARD: oifname "eth0" drop" drops packets of containers',
    there: reported(
      'packet filter: "ip filter FORWARD: …" drops packets of containers',
    ),
    fix: "nft delete rule ip filter FORWARD handle …",
  },
  {
    name: "a rule of iptables drops in `raw PREROUTING`",
    cause: () => "iptables -t raw -I PREROUTING -s 172.16.0.0/12 -j DROP",
    here:
      'packet filter: "ip raw PREROUTING: … drop" drops packets of containers',
    there: LOST,
    fix: "nft delete rule ip raw PREROUTING handle …",
  },
  {
    name: "a rule of iptables drops in `mangle POSTROUTING`",
    cause: () => "iptables -t mangle -I POSTROUTING -s 172.16.0.0/12 -j DROP",
    here:
      'packet filter: "ip mangle POSTROUTING: … drop" drops packets of containers',
    there: LOST,
    fix: "nft delete rule ip mangle POSTROUTING handle …",
  },
  {
    name: "a rule of iptables-legacy drops",
    cause: () => "iptables-legacy -I FORWARD -s 172.16.0.0/12 -j DROP",
    here:
      'packet filter: "ip filter FORWARD: -s 172.16.0.0/12 -j DROP" drops packets of containers',
    there: reported(
      'packet filter: "ip filter FORWARD: -s 172.16.0.0/12 -j DROP" drops packets of containers',
    ),
    fix: "iptables-legacy -t filter -D FORWARD -s 172.16.0.0/12 -j DROP",
  },
  {
    name: "a rule rewrites the source (`ipMasq`, or a NAT for all)",
    cause: () =>
      "iptables -t nat -A POSTROUTING -s 172.16.4.0/22 -j MASQUERADE",
    here:
      'source address: "ip nat POSTROUTING: ip saddr 172.16.4.0/22 MASQUERADE" rewrites packets that go to 172.16.0.0/12',
    there: "green",
    fix:
      "nft insert rule ip nat POSTROUTING ip saddr 172.16.4.0/22 ip daddr 172.16.0.0/12 accept",
    isHarmless: true,
  },
  {
    name: "a container's link is not a port of the bridge",
    cause: ({ veth }) => `ip link set dev ${veth} nomaster`,
    here: 'container: container "…": its link "…" is not a port of "stellar0"',
    there: "green",
    fix: "ip link set dev … master stellar0 && ip link set dev … up",
  },
  {
    name: "a container's link is down",
    cause: ({ veth }) => `ip link set dev ${veth} down`,
    here: 'container: container "…": its link "…" is down',
    there: "green",
    fix: "ip link set dev … up",
  },
  {
    name: "a container has no default route",
    isInContainer: true,
    cause: () => "ip route delete default",
    here:
      'container: container "…": it has no route to the cluster\'s networks',
    there: "green",
    fix: "nsenter --net=… ip route add default via 172.16.4.1",
  },
  {
    name: "a container has lost its address",
    isInContainer: true,
    cause: () => "ip address flush dev eth0",
    here:
      'container: container "…": its "eth0" does not have 172.16.4.2, which it holds',
    there: "green",
    fix:
      "nsenter --net=… ip address add 172.16.4.2/22 dev eth0 && nsenter --net=… ip route add default via 172.16.4.1",
  },
  {
    name: "a container's interface is down",
    isInContainer: true,
    cause: () => "ip link set dev eth0 down",
    here: 'container: container "…": its "eth0" is down',
    there: "green",
    fix:
      "nsenter --net=… ip link set dev eth0 up && nsenter --net=… ip route add default via 172.16.4.1",
  },
  {
    name: "a container's own packet filter drops",
    isInContainer: true,
    cause: () => "iptables -I INPUT -j DROP",
    here:
      'container: container "…": 172.16.4.2 does not answer a ping from 172.16.4.1',
    there: "green",
    undo: {
      text: "see the filter in the container",
      line: ({ container }) =>
        `nsenter --net=/run/netns/${container.netns} iptables -F INPUT`,
    },
  },
  {
    name: "one address on two containers",
    cause: ({ second, container }) =>
      `nsenter --net=/run/netns/${second.netns} ip address add ${container.address}/22 dev eth0`,
    here:
      'container: container "…": 172.16.4.2 is also an address of container "…", which does not hold it',
    there: "green",
    fix: "nsenter --net=… ip address delete 172.16.4.2/22 dev eth0",
    isHarmless: true,
  },
  {
    name: "an address in use that no container holds",
    isInContainer: true,
    cause: () =>
      "ip address add 172.16.4.9/22 dev eth0 && ping -c 1 -w 5 -I 172.16.4.9 172.16.4.1",
    here:
      'address: 172.16.4.9 is in use by … on "stellar0", behind its port "…", and no container holds it',
    there: "green",
    fix: 'stellar-net ip reserve 172.16.4.9 --reason "in use by …"',
    isHarmless: true,
  },
  {
    name: "a wrong permanent neighbour entry for a container",
    cause: ({ container }) =>
      `ip neighbour replace ${container.address} lladdr 02:00:00:00:00:99 nud permanent dev stellar0`,
    here:
      'container: container "…": a permanent neighbour entry of this host says that 172.16.4.2 is at 02:00:00:00:00:99, and it does not answer',
    there: "green",
    fix: "ip neighbour delete 172.16.4.2 dev stellar0",
  },
  {
    name: "a wrong permanent neighbour entry for a peer",
    cause: ({ peer }) =>
      `ip neighbour replace ${peer.address} lladdr 02:00:00:00:00:99 nud permanent dev eth0`,
    here:
      'neighbour: a permanent entry says that 198.18.0.11 is at 02:00:00:00:00:99 on "eth0", and it does not answer',
    there: LOST,
    fix: "ip neighbour delete 198.18.0.11 dev eth0",
  },
  {
    name: "a route of others to a peer's subnet",
    cause: () =>
      "ip route add 172.16.0.0/22 via 198.18.0.99 proto static metric 5",
    here:
      'route: 172.16.0.0/22 of node "host1": another route is there and stays: …',
    there:
      'subnet: 172.16.0.0/22 overlaps 172.16.0.0/22 on eth0 of node "host2"',
    fix:
      "ip route delete 172.16.0.0/22 via 198.18.0.99 dev eth0 proto static metric 5",
  },
  {
    name: "a route of others, such as a VPN's, to a part of a peer's subnet",
    cause: () => "ip route add 172.16.0.0/24 via 198.18.0.99",
    here: "route: packets to 172.16.0.1 leave via 198.18.0.99 …",
    there:
      'subnet: 172.16.0.0/22 overlaps 172.16.0.0/24 on eth0 of node "host2"',
    fix: "ip route delete 172.16.0.0/24 via 198.18.0.99 dev eth0",
  },
  {
    name: "a blackhole for a peer's container",
    cause: () => "ip route add blackhole 172.16.0.2/32",
    here:
      "route: blackhole 172.16.0.2/32 takes a part of 172.16.0.0/22 elsewhere",
    there:
      'subnet: 172.16.0.0/22 overlaps 172.16.0.2/32 on blackhole of node "host2"',
    fix: "ip route delete blackhole 172.16.0.2/32",
  },
  {
    name: "a policy rule leads a peer's subnet elsewhere",
    cause: () =>
      "ip rule add to 172.16.0.0/22 lookup 77 && ip route add blackhole default table 77",
    here: "route: packets to 172.16.0.1 go nowhere: …",
    there: LOST,
    fix: "ip rule delete preference …",
  },
  {
    name: "an interface does not forward",
    cause: () => "sysctl -qw net.ipv4.conf.eth0.forwarding=0",
    here:
      'forwarding: "eth0" does not forward: net.ipv4.conf.eth0.forwarding is 0',
    there: "green",
    fix: "sysctl -w net/ipv4/conf/eth0/forwarding=1",
  },
  {
    name:
      "`rp_filter` drops what a peer sends, because the way back is another",
    cause: () =>
      "ip link add other type veth peer name other1 && ip link set other up && ip link set other1 up && ip address add 192.0.2.1/24 dev other && sysctl -qw net.ipv4.conf.eth0.rp_filter=1 && ip route add 172.16.0.0/23 via 192.0.2.2 dev other",
    here:
      'reverse path: rp_filter of "eth0" drops packets from 172.16.0.1: this host sends to it by "other"',
    there: LOST,
    fix: "sysctl -w net/ipv4/conf/eth0/rp_filter=2",
    undo: {
      text: "delete the other route, which `doctor` names too",
      line: () =>
        "ip link delete other; sysctl -qw net.ipv4.conf.eth0.rp_filter=0",
    },
  },
  {
    name: "the host's link takes smaller packets than its peer's",
    cause: () => "ip link set dev eth0 mtu 1400",
    here: "green",
    there:
      'mtu: packets of 1404 bytes get to 198.18.0.12, larger ones do not: "eth0" has an MTU of 1500, and "stellar0" 1500',
    fix: "ip link set dev eth0 mtu 1400 && ip link set dev stellar0 mtu 1400",
    isFixedThere: true,
    isHarmless: true,
    undo: {
      text: 'put `"mtu": 1400` into the CNI configuration',
      line: () => "true",
    },
  },
  {
    name: "the uplink is down",
    cause: () => "ip link set dev eth0 down",
    here: 'next hop: 198.18.0.11 is reached through "eth0", which is down',
    there: LOST,
    fix: "ip link set dev eth0 up",
    undo: {
      text: "give it its IPv6 addresses again",
      line: () => "ip address replace 2001:2::12/64 dev eth0 nodad",
    },
  },
  {
    name: "the uplink has lost its address, or `--advertise` names another",
    cause: () => "ip address delete 198.18.0.12/24 dev eth0",
    here: "advertised: no interface of this host has 198.18.0.12",
    there: LOST,
    undo: {
      text: "give the uplink the address, or change `--advertise`",
      line: () => "ip address add 198.18.0.12/24 dev eth0",
    },
  },
  {
    name: "the port of its API is blocked",
    cause: nft("ip", { hook: "input", rule: "tcp dport 9000 drop" }),
    here:
      'packet filter: "ip fault c: tcp dport 9000 drop" drops calls of agents',
    there:
      "peer's agent: http://198.18.0.12:9000 does not answer: the operation timed out",
    fix: "nft delete rule ip fault c handle …",
    isHarmless: true,
  },
  {
    name: "its own filter blocks the port of the other agents",
    cause: nft("ip", { hook: "output", rule: "tcp dport { 22, 9000 } drop" }),
    here:
      'packet filter: "ip fault c: tcp dport { 22, 9000 } drop" drops calls of agents',
    there: "peer's report: the registry has been unreachable since …",
    fix: "nft delete rule ip fault c handle …",
    isHarmless: true,
  },
  {
    name: "the socket lets other users in",
    cause: () => 'chmod 0666 "$STELLAR_NET_SOCKET"',
    here: "socket: … has mode 0666",
    there: "green",
    fix: "chmod 0600 …",
    isHarmless: true,
  },
  {
    name: "a container's namespace, or its interface, is gone without a DEL",
    isInContainer: true,
    cause: () => "ip link delete eth0",
    here: 'container: container "…": it has no interface "eth0"',
    there: "green",
    undo: {
      text: "start the container again",
      line: () => "true",
    },
    isContainerLost: true,
  },
  {
    name: "the bridge is gone",
    cause: () => "ip link delete stellar0",
    here:
      "gateway: 172.16.4.1/22 is on no interface, and 2 containers hold addresses of its subnet",
    there: "green",
    undo: { text: "start the containers again", line: () => "true" },
    isContainerLost: true,
  },
  {
    name: "every address of the subnet is held",
    // The address that had another user is in nobody's way once it is reserved.
    cause: () => `stellar-net ip reserve 172.16.4.9; ${FILL_SUBNET}`,
    here:
      "addresses: 1020 of 1021 in 172.16.4.0/22 are held, and 1 more reserved",
    there:
      "peer's report: all 1021 addresses of 172.16.4.0/22 are held or reserved",
    undo: {
      text: "remove containers, or release what no container uses",
      line: () => EMPTY_SUBNET,
    },
    isHarmless: true,
  },
];
