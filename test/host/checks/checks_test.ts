import assert from "node:assert/strict";
import { formatCheck } from "../../../src/host/checks/check.ts";
import { checkHost } from "../../../src/host/checks/host_checks.ts";
import type { HostLink } from "../../../src/routes/plan/ip_json.ts";
import type {
  HostDesired,
  HostState,
} from "../../../src/host/plan/host_plan.ts";
import { FakeHostNetwork } from "../../fake/fake_host_network.ts";
import { hostDesired, hostLink, hostState } from "../plan/host_plans.ts";

const BRIDGE = { name: "br0" };
const DESIRED = hostDesired({ bridge: BRIDGE });
const V6 = { subnets: "fd00:16::/64", networks: "fd00:16::/48" };
const ETH0 = hostLink("eth0", "", ["192.0.2.5/24"]);
const ETH1 = hostLink("eth1", "", ["192.0.3.5/24"]);
const BR0 = hostLink("br0", "bridge", ["172.16.0.1/22"]);

/** A host with an uplink, and interfaces besides it. */
function host(
  links: readonly HostLink[],
  changes: Partial<HostState> = {},
): HostState {
  const base = hostState();
  return hostState({
    interfaces: {
      links: [ETH0, ...links],
      defaultRoutes: [{ family: 4, device: "eth0", gateway: "", metric: 0 }],
    },
    ...changes,
    sysctls: new Map([...base.sysctls, ...changes.sysctls ?? []]),
  });
}

function forward(...lines: string[]): Partial<HostState> {
  const network = new FakeHostNetwork(hostState());
  network.setForward(...lines);
  return { filters: network.state.filters };
}

function lines(desired: HostDesired, state: HostState, ok: boolean): string[] {
  return checkHost(desired, state)
    .filter(({ status }) => (status === "ok") === ok).map(formatCheck);
}

Deno.test("checkHost() finds a host as it should be", () => {
  assert.deepEqual(lines(DESIRED, host([BR0]), false), []);
  assert.deepEqual(lines(DESIRED, host([BR0]), true), [
    "ip: reads this host's interfaces",
    "privileges: CAP_NET_ADMIN",
    "packet filter: nft reads this host's rules",
    'bridge: "br0" is up',
    'gateway: 172.16.0.1/22 is on "br0"',
    "forwarding: net.ipv4.ip_forward is 1",
    "forward policy: nothing drops what is forwarded",
    'reverse path: rp_filter of "eth0" is 0',
    "masquerade: not asked for",
    'mtu: "br0" has 1500, the uplink "eth0" 1500',
  ]);
});

Deno.test("checkHost() leaves the network of Docker alone, and finds an earlier subnet on a bridge", () => {
  const others = hostDesired({});
  const found = (address: string) =>
    lines(others, host([BR0, hostLink("other0", "bridge", [address])]), false);
  assert.deepEqual(found("172.17.0.1/16"), []);
  const [line] = found("172.16.8.1/22");
  assert.match(line!, /^bridge: "other0" has 172\.16\.8\.1\/22, the gateway/);
});

Deno.test("checkHost() says nothing of containers where there are none yet", () => {
  const desired = hostDesired({ subnets: "" });
  const off = new Map([["net/ipv4/ip_forward", "0"]]);
  const state = host([], { ...forward("-P FORWARD DROP"), sysctls: off });
  assert.deepEqual(lines(desired, state, false), []);
});

Deno.test("checkHost() gives the finding, its meaning and its fix", async (t) => {
  const rows: readonly [
    name: string,
    desired: HostDesired,
    state: HostState,
    wrong: RegExp,
  ][] = [
    [
      "no ip",
      DESIRED,
      hostState({
        interfaces: undefined,
        problems: [{
          tool: "ip",
          message: 'Cannot run "ip": it is not installed',
        }],
      }),
      /^ip: Cannot run "ip": it is not installed; neither .*; to fix it: install iproute2$/,
    ],
    [
      "no privileges",
      DESIRED,
      host([BR0], { isNetAdmin: false }),
      /^privileges: the agent runs without CAP_NET_ADMIN; .* as root, or with Amb/,
    ],
    [
      "no nft, not needed",
      DESIRED,
      host([BR0], {
        tables: undefined,
        filters: undefined,
        problems: [{ tool: "nft", message: "gone" }],
      }),
      /^packet filter: gone; whether .* not known; to fix it: install nftables$/,
    ],
    [
      "no nft, and no privileges",
      DESIRED,
      host([BR0], { isNetAdmin: false, tables: undefined, filters: undefined }),
      /^privileges: .*\npacket filter: nft gave no answer; .*run the agent as root/,
    ],
    [
      "no nft, needed",
      hostDesired({ bridge: BRIDGE, masquerade: true }),
      host([BR0], { tables: undefined, filters: undefined }),
      /^packet filter: nft gave no answer; containers do not reach what is outside/,
    ],
    [
      "iptables-legacy in use and unreadable",
      DESIRED,
      host([BR0], { problems: [{ tool: "iptables-legacy", message: "gone" }] }),
      /^packet filter: gone; .*; to fix it: install iptables-legacy$/,
    ],
    [
      "no bridge",
      DESIRED,
      host([]),
      /^bridge: there is no interface "br0"; .*; to fix it: ip link add name br0 .* && ip link set dev br0 up\ngateway: 172.16.0.1 is on no interface; .*ip address add 172.16.0.1\/22 dev br0$/,
    ],
    [
      "an invalid bridge",
      DESIRED,
      host([{ ...BR0, kind: "" }]),
      /^bridge: "br0" is a device, not a bridge; .*; to fix it: give --bridge another name$/,
    ],
    [
      "a bridge that is down",
      DESIRED,
      host([{ ...BR0, isUp: false }]),
      /^bridge: "br0" is down; .*; to fix it: ip link set dev br0 up$/,
    ],
    [
      "a bridge with another MTU",
      hostDesired({ bridge: { name: "br0", mtuBytes: 1400 } }),
      host([BR0]),
      /^bridge: "br0" has an MTU of 1500; .*; to fix it: ip link set dev br0 mtu 1400$/,
    ],
    [
      "another node's gateway on it",
      DESIRED,
      host([
        hostLink("br0", "bridge", [
          "172.16.0.1/22",
          "172.16.8.1/22",
          "192.0.2.1/24",
        ]),
      ]),
      /^bridge: "br0" has 172.16.8.1\/22, too, .*; to fix it: ip address delete 172.16.8.1\/22 dev br0$/,
    ],
    [
      "the gateway with another length",
      DESIRED,
      host([hostLink("br0", "bridge", ["172.16.0.1/24"])]),
      /^gateway: "br0" has 172.16.0.1\/24; the subnet is 172.16.0.0\/22; .* ip address delete 172.16.0.1\/24 dev br0 && ip address add 172.16.0.1\/22 dev br0$/,
    ],
    [
      "the gateway elsewhere",
      DESIRED,
      host([
        hostLink("br0", "bridge"),
        hostLink("cni0", "bridge", ["172.16.0.1/22"]),
      ]),
      /^gateway: 172.16.0.1 is on "cni0", not on "br0"; /,
    ],
    [
      "forwarding off",
      DESIRED,
      host([BR0], { sysctls: new Map([["net/ipv4/ip_forward", "0"]]) }),
      /^forwarding: net.ipv4.ip_forward is 0; containers reach no other host over IPv4; to fix it: sysctl -w net\/ipv4\/ip_forward=1$/,
    ],
    [
      "forwarding unknown",
      hostDesired(V6),
      hostState({ sysctls: new Map() }),
      /^forwarding: net.ipv6.conf.all.forwarding cannot be read; .*; to fix it: sysctl -w net\/ipv6\/conf\/all\/forwarding=1$/,
    ],
    [
      "no IPv6 default route to learn",
      hostDesired(V6),
      host([], { sysctls: new Map([["net/ipv6/conf/eth0/accept_ra", "1"]]) }),
      /^forwarding: there is no IPv6 default route, and "eth0" ignores .*; to fix it: sysctl -w net\/ipv6\/conf\/eth0\/accept_ra=2$/,
    ],
    [
      "a policy of drop",
      DESIRED,
      host([BR0], forward("-P FORWARD DROP")),
      /^forward policy: "ip filter FORWARD": its policy is drop; containers on different .*; to fix it: iptables-nft .* && iptables-nft .* -j ACCEPT$/,
    ],
    [
      "rules that are not needed",
      DESIRED,
      host(
        [BR0],
        forward(
          "-P FORWARD ACCEPT",
          "-A FORWARD -m comment --comment stellar-net -j LOG",
        ),
      ),
      /^forward policy: "ip filter FORWARD" drops nothing any more, and has 1 rule of the agent; /,
    ],
    [
      "strict filtering and two ways out",
      DESIRED,
      host([BR0], {
        interfaces: {
          links: [ETH0, ETH1, BR0],
          defaultRoutes: [
            { family: 4, device: "eth0", gateway: "", metric: 0 },
            { family: 4, device: "eth1", gateway: "", metric: 9 },
          ],
        },
        sysctls: new Map([["net/ipv4/conf/all/rp_filter", "1"], [
          "net/ipv4/conf/eth0/rp_filter",
          "0",
        ]]),
      }),
      /^reverse path: rp_filter of "eth0" is 1 \(strict\), and there are several .*; to fix it: sysctl -w net\/ipv4\/conf\/eth0\/rp_filter=2$/,
    ],
    [
      "no masquerading",
      hostDesired({ bridge: BRIDGE, masquerade: true }),
      host([BR0]),
      /^masquerade: there is no table "inet stellar-net"; .*; to fix it: nft 'add table inet stellar-net; .*'$/,
    ],
    [
      "masquerading not asked for",
      DESIRED,
      host([BR0], {
        tables: [{ family: "inet", name: "stellar-net", chains: [] }],
      }),
      /^masquerade: "inet stellar-net" is not as it should be; containers are masqueraded, .*; to fix it: nft 'delete table inet stellar-net'$/,
    ],
    [
      "a table of others",
      DESIRED,
      host([BR0], {
        tables: [{
          family: "inet",
          name: "stellar-net",
          chains: [{
            name: "x",
            rules: [{ id: "1", text: "accept", comment: "" }],
          }],
        }],
      }),
      /^masquerade: there is a table "inet stellar-net" that the agent has not made; /,
    ],
    [
      "a bridge that is wider than the uplink",
      DESIRED,
      host([{ ...BR0, mtuBytes: 9000 }]),
      /^mtu: "br0" has 9000, the uplink "eth0" 1500; .*; new containers need "mtu": 1500 in the CNI configuration; to fix it: ip link set dev br0 mtu 1500$/,
    ],
  ];
  for (const [name, desired, state, wrong] of rows) {
    await t.step(
      name,
      () => assert.match(lines(desired, state, false).join("\n"), wrong),
    );
  }
});

Deno.test("checkHost() passes a host that needs no repair", async (t) => {
  const rows: readonly [
    name: string,
    desired: HostDesired,
    state: HostState,
    found: string,
  ][] = [
    [
      "no gateway before the first container",
      hostDesired(),
      host([]),
      "gateway: 172.16.0.1 is on no interface yet: the CNI bridge plugin puts it there with the first container",
    ],
    [
      "a gateway on the CNI plugin's bridge",
      hostDesired(),
      host([hostLink("cni0", "bridge", ["172.16.0.1/22"])]),
      'gateway: 172.16.0.1/22 is on "cni0"',
    ],
    [
      "strict filtering and one way out",
      DESIRED,
      host([BR0], {
        sysctls: new Map([["net/ipv4/conf/eth0/rp_filter", "1"]]),
      }),
      'reverse path: rp_filter of "eth0" is 1 (strict), and there is one way out',
    ],
    [
      "loose filtering",
      DESIRED,
      host([BR0], {
        sysctls: new Map([["net/ipv4/conf/eth0/rp_filter", "2"], [
          "net/ipv4/conf/all/rp_filter",
          "1",
        ]]),
      }),
      'reverse path: rp_filter of "eth0" is 2',
    ],
    [
      "a narrower bridge",
      DESIRED,
      host([{ ...BR0, mtuBytes: 1400 }]),
      'mtu: "br0" has 1400, the uplink "eth0" 1500',
    ],
    [
      "a policy of drop that is met",
      DESIRED,
      host(
        [BR0],
        forward(
          "-P FORWARD DROP",
          '-A FORWARD -s 172.16.0.0/12 -d 172.16.0.0/22 -m comment --comment "stellar-net in" -j ACCEPT',
          '-A FORWARD -s 172.16.0.0/22 -d 172.16.0.0/12 -m comment --comment "stellar-net out" -j ACCEPT',
        ),
      ),
      'forward policy: "ip filter FORWARD": its policy is drop, met with 2 rules of the agent',
    ],
  ];
  for (const [name, desired, state, found] of rows) {
    await t.step(name, () => {
      assert.deepEqual(lines(desired, state, false), []);
      assert.ok(
        lines(desired, state, true).includes(found),
        lines(desired, state, true).join("\n"),
      );
    });
  }
});
