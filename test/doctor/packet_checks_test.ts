import assert from "node:assert/strict";
import { checkPackets } from "../../src/doctor/packet_checks.ts";
import { formatCheck } from "../../src/host/checks/check.ts";
import { LinuxPathProbe } from "../../src/host/linux_path_probe.ts";
import { neededCapabilities } from "../../src/install/plan/unit.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parseLinks } from "../../src/routes/plan/ip_json.ts";
import type { HostInterfaces } from "../../src/routes/plan/uplink.ts";
import type { CommandRunner } from "../../src/system/command.ts";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import { NetnsHost } from "../support/netns_host.ts";
import { FakePathProbe } from "../fake/fake_path_probe.ts";
import { peerNode } from "./path_world.ts";

const GOT_THERE =
  'packets: packets get from this host to "b", which has no bridge with 172.16.4.1 now';
const LOST =
  'packets: no packet gets from this host to 172.16.4.1, the gateway of "b"; ' +
  "containers here and there do not reach each other; " +
  'to fix it: find the cause with stellar-net doctor b here, and with stellar-net doctor on "b"';

Deno.test("checkPackets() finds a peer without a bridge up to five hops away", async (t) => {
  const rows: readonly [
    name: string,
    reports: readonly [hops: number | undefined, errorFrom: string][],
    line: string,
  ][] = [
    ["no report", [], LOST],
    ["unreachable, says the peer", [[undefined, "198.18.0.2"]], GOT_THERE],
    ["unreachable, says a router", [[undefined, "198.18.0.9"]], LOST],
    ["the peer is the first hop", [[1, "198.18.0.2"]], GOT_THERE],
    [
      "the peer is the fifth hop",
      [[1, "198.18.0.9"], [5, "198.18.0.2"]],
      GOT_THERE,
    ],
    ["the peer is the sixth hop", [[6, "198.18.0.2"]], LOST],
    ["routers alone", [[1, "198.18.0.9"], [2, "198.18.0.8"]], LOST],
  ];
  for (const [name, reports, line] of rows) {
    await t.step(name, async () => {
      const probe = new FakePathProbe();
      for (const [hops, from] of reports) probe.reports.set(hops, from);
      const checks = await checkPackets(probe, {
        ...{ subnets: [], networks: [], containers: [] },
        ...{ interfaces: undefined, bridge: undefined },
        ...{ ports: [], isCut: false, isCurrent: true },
        bridgeless: new Set(),
        peers: [peerNode()],
      });
      assert.deepEqual(checks.map(formatCheck), [line]);
    });
  }
});

Deno.test("checkPackets() sends packets to the host of a peer whose probes say that it has no bridge", async (t) => {
  const rows: readonly (readonly [
    name: string,
    bridgeless: readonly string[],
    answering: string,
    line: string,
  ])[] = [
    ["its host answers", ["b"], "198.18.0.2", GOT_THERE],
    ["its host is silent", ["b"], "198.18.0.9", LOST],
    ["another peer has none", ["c"], "198.18.0.2", LOST],
  ];
  for (const [name, bridgeless, answering, line] of rows) {
    await t.step(name, async () => {
      const probe = new FakePathProbe();
      probe.largest.set(answering, 1_500);
      const checks = await checkPackets(probe, {
        ...{ subnets: [], networks: [], containers: [] },
        ...{ interfaces: undefined, bridge: undefined },
        ...{ ports: [], isCut: false, isCurrent: true },
        ...{ peers: [peerNode()], bridgeless: new Set(bridgeless) },
      });
      assert.deepEqual(checks.map(formatCheck), [line]);
    });
  }
});

Deno.test("checkPackets() passes a container that the agent may not enter by its answers alone", async (t) => {
  const containers = ["web1", "web2"].map((id, i) => ({
    ...{ id, interfaceName: "eth0", netns: `/run/netns/${id}` },
    addresses: [parseAddress(`172.16.0.${i + 2}`)],
  }));
  const interfaces: HostInterfaces = {
    links: parseLinks(JSON.stringify([{
      ...{ ifindex: 2, ifname: "eth0", mtu: 1500, flags: ["UP"] },
      addr_info: [{
        ...{ family: "inet", local: "198.18.0.11", prefixlen: 15 },
        scope: "global",
      }],
    }])),
    defaultRoutes: [],
  };
  const check = async (
    { answering, deaf = [], interfaces: host = interfaces }: {
      readonly answering: readonly string[];
      readonly deaf?: readonly string[];
      readonly interfaces?: HostInterfaces | undefined;
    },
  ) => {
    const probe = new FakePathProbe();
    for (const address of answering) probe.largest.set(address, 1_500);
    for (const source of deaf) probe.deaf.add(source);
    const checks = await checkPackets(probe, {
      ...{ subnets: [], networks: [], containers, peers: [] },
      ...{ interfaces: host, bridge: undefined },
      ...{ ports: [], isCut: false, isCurrent: true },
      bridgeless: new Set(),
    });
    return checks.map(({ name, status, found }) =>
      `${status} ${name}: ${found}`
    );
  };
  const all = ["172.16.0.2", "172.16.0.3"];
  const unsure =
    'warning container: cannot look into "web1", "web2", and got no answer for an address outside of the subnet';
  await t.step("all answer both", async () => {
    assert.deepEqual(await check({ answering: all }), [
      "ok container: packets get into 2 containers and back",
    ]);
  });
  await t.step("its other address gets no answer", async () => {
    const checks = await check({ answering: all, deaf: ["198.18.0.11"] });
    assert.deepEqual(checks, [unsure]);
  });
  await t.step("this host has no other address", async () => {
    const none = { links: [], defaultRoutes: [] };
    const checks = await check({ answering: all, interfaces: none });
    assert.deepEqual(checks, [unsure]);
  });
  await t.step("one is silent", async () => {
    assert.deepEqual(await check({ answering: ["172.16.0.2"] }), [
      'failed container: container "web2": 172.16.0.3 does not answer, and this agent cannot look into it',
    ]);
  });
});

Deno.test("LinuxPathProbe.readContainer() tells a namespace that it may not enter from one that is gone", async () => {
  await using host = await NetnsHost.create();
  const path = `/run/netns/${host.name}`;
  // The capabilities of the installed unit.
  const granted = neededCapabilities([]).map((name) =>
    `+${name.replace("CAP_", "").toLowerCase()}`
  );
  const bound = ["-all", ...granted].join(",");
  const runner: CommandRunner = {
    run: ({ program, args, ...rest }) =>
      new DenoCommandRunner().run({
        ...rest,
        program: "setpriv",
        args: ["--bounding-set", bound, program, ...args],
      }),
  };
  const installed = new LinuxPathProbe({ runner });
  assert.equal(await installed.readContainer(path), "not permitted");
  assert.equal(await installed.readContainer("/run/netns/none"), undefined);
  const root = new LinuxPathProbe({ runner: new DenoCommandRunner() });
  assert.equal(typeof await root.readContainer(path), "object");
});
