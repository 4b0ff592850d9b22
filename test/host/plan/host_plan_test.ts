import assert from "node:assert/strict";
import {
  type HostDesired,
  type HostState,
  parseBridgeName,
  relevantSysctls,
} from "../../../src/host/plan/host_plan.ts";
import {
  hostCommands,
  hostDesired,
  hostLink,
  hostState,
} from "./host_plans.ts";

const BRIDGE = { name: "br0" };
const DUAL = {
  subnets: "172.16.0.0/22 fd00:16::/64",
  networks: "172.16.0.0/12 fd00:16::/48",
};
const OFF = new Map([
  ["net/ipv4/ip_forward", "0"],
  ["net/ipv6/conf/all/forwarding", "0"],
  ["net/ipv6/conf/eth0/accept_ra", "1"],
  ["net/ipv6/conf/eth1/accept_ra", "0"],
]);

function linked(...links: ReturnType<typeof hostLink>[]): HostState {
  return hostState({ interfaces: { links, defaultRoutes: [] } });
}

Deno.test("planHost() makes and addresses the bridge", async (t) => {
  const rows: readonly [
    name: string,
    desired: HostDesired,
    state: HostState,
    commands: readonly string[],
    former?: readonly string[],
  ][] = [
    ["no bridge asked for", hostDesired(), hostState(), []],
    ["none there", hostDesired({ ...DUAL, bridge: BRIDGE }), hostState(), [
      "ip link add name br0 address 02:53:ac:10:00:01 type bridge",
      "ip link set dev br0 up",
      "ip address add 172.16.0.1/22 dev br0",
      "ip address add fd00:16::1/64 dev br0 nodad",
    ]],
    [
      "none there, IPv6 alone, with an MTU",
      hostDesired({
        subnets: "fd00:16:0:5::/64",
        bridge: { name: "br0", mtuBytes: 9000 },
      }),
      hostState(),
      [
        "ip link add name br0 address 02:53:00:00:00:05 type bridge",
        "ip link set dev br0 mtu 9000",
        "ip link set dev br0 up",
        "ip address add fd00:16:0:5::1/64 dev br0 nodad",
      ],
    ],
    [
      "none there, and no subnet",
      hostDesired({ subnets: "", bridge: BRIDGE }),
      hostState(),
      [],
    ],
    [
      "all in place",
      hostDesired({ bridge: BRIDGE }),
      linked(hostLink("br0", "bridge", ["172.16.0.1/22"])),
      [],
    ],
    [
      "down, with another MTU",
      hostDesired({ bridge: { name: "br0", mtuBytes: 1400 } }),
      linked({ ...hostLink("br0", "bridge", ["172.16.0.1/22"]), isUp: false }),
      [
        "ip link set dev br0 mtu 1400",
        "ip link set dev br0 up",
      ],
    ],
    [
      "no bridge of that name, but a device",
      hostDesired({ bridge: BRIDGE }),
      linked(hostLink("br0", "veth")),
      [],
    ],
    [
      "the gateway on another interface",
      hostDesired({ bridge: BRIDGE }),
      linked(
        hostLink("br0", "bridge"),
        hostLink("cni0", "bridge", ["172.16.0.1/22"]),
      ),
      [],
    ],
    [
      "the gateway with another length",
      hostDesired({ bridge: BRIDGE }),
      linked(hostLink("br0", "bridge", ["172.16.0.1/24"])),
      [],
    ],
    [
      "foreign addresses",
      hostDesired({ bridge: BRIDGE }),
      linked(
        hostLink("br0", "bridge", [
          "172.16.0.1/22",
          "172.16.4.9/22",
          "192.0.2.1/24",
          // A gateway, and of no subnet of the network.
          "172.17.0.1/16",
        ]),
      ),
      [],
    ],
    [
      "the gateway of an earlier subnet, from before a restart",
      hostDesired({ bridge: BRIDGE }),
      linked(
        hostLink("br0", "bridge", ["172.16.0.1/22", "172.16.4.1/22"]),
      ),
      ["ip address delete 172.16.4.1/22 dev br0"],
    ],
    [
      "a former gateway",
      hostDesired({ bridge: BRIDGE }),
      linked(hostLink("br0", "bridge", ["172.16.4.1/22"])),
      [
        "ip address add 172.16.0.1/22 dev br0",
        "ip address delete 172.16.4.1/22 dev br0",
      ],
      ["172.16.4.1/22", "172.16.0.1/22", "172.16.8.1/22"],
    ],
    [
      "interfaces that cannot be read",
      hostDesired({ bridge: BRIDGE }),
      hostState({ interfaces: undefined }),
      [],
    ],
  ];
  for (const [name, desired, state, commands, former] of rows) {
    await t.step(
      name,
      () => assert.deepEqual(hostCommands(desired, state, former), commands),
    );
  }
});

Deno.test("planHost() switches forwarding on for the families of the subnets", async (t) => {
  const links = [hostLink("eth0", ""), hostLink("eth1", "")];
  const uplinked = (...devices: string[]): HostState =>
    hostState({
      sysctls: OFF,
      interfaces: {
        links,
        defaultRoutes: devices.map((device, i) => ({
          family: i === 0 ? 4 : 6,
          device,
          gateway: "",
          metric: 0,
        })),
      },
    });
  const rows: readonly [
    name: string,
    subnets: string,
    state: HostState,
    commands: readonly string[],
  ][] = [
    ["on already", DUAL.subnets, hostState(), []],
    ["no subnet", "", hostState({ sysctls: OFF }), []],
    ["IPv4", "172.16.0.0/22", uplinked("eth0"), [
      "sysctl -w net/ipv4/ip_forward=1",
    ]],
    [
      "both, router advertisements are listened to",
      DUAL.subnets,
      uplinked("eth0", "eth0"),
      [
        "sysctl -w net/ipv4/ip_forward=1",
        "sysctl -w net/ipv6/conf/eth0/accept_ra=2",
        "sysctl -w net/ipv6/conf/all/forwarding=1",
      ],
    ],
    ["IPv6, they are not", "fd00:16::/64", uplinked("eth1", "eth1"), [
      "sysctl -w net/ipv6/conf/all/forwarding=1",
    ]],
    ["IPv6, two uplinks", "fd00:16::/64", uplinked("eth0", "eth1"), [
      "sysctl -w net/ipv6/conf/eth0/accept_ra=2",
      "sysctl -w net/ipv6/conf/all/forwarding=1",
    ]],
    [
      "settings that cannot be read",
      DUAL.subnets,
      hostState({ sysctls: new Map() }),
      [],
    ],
    ["IPv6 on already, set by others", "fd00:16::/64", {
      ...uplinked("eth0"),
      sysctls: new Map([...OFF, ["net/ipv6/conf/all/forwarding", "1"]]),
    }, []],
  ];
  for (const [name, subnets, state, commands] of rows) {
    await t.step(
      name,
      () =>
        assert.deepEqual(
          hostCommands(hostDesired({ ...DUAL, subnets }), state),
          commands,
        ),
    );
  }
});

Deno.test("relevantSysctls() looks at the uplinks and the bridge", () => {
  const interfaces = {
    links: [hostLink("eth0", ""), hostLink("eth1.7", "vlan")],
    defaultRoutes: [{
      family: 4,
      device: "eth1.7",
      gateway: "",
      metric: 0,
    }] as const,
  };
  assert.deepEqual(relevantSysctls(interfaces, "br0"), [
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/eth1.7/rp_filter",
    "net/ipv4/conf/br0/rp_filter",
    "net/ipv6/conf/eth1.7/accept_ra",
  ]);
});

Deno.test("parseBridgeName() accepts names that ip and nft read as names", async (t) => {
  for (const name of ["br0", "stellar-net", "br-pods_1.7", "a"]) {
    await t.step(name, () => assert.equal(parseBridgeName(name), name));
  }
  for (
    const name of [
      "",
      "-br",
      "br*",
      'b"r',
      "br 0",
      "br/0",
      "br:0",
      "all",
      "default",
      "bridge-of-16-chr",
      "brü",
    ]
  ) {
    await t.step(
      `"${name}" is refused`,
      () =>
        assert.throws(
          () => parseBridgeName(name),
          /is not a name for a bridge: use 1 to 15 /,
        ),
    );
  }
});
