import assert from "node:assert/strict";
import { checkPackets } from "../../src/doctor/packet_checks.ts";
import { formatCheck } from "../../src/host/checks/check.ts";
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
        ...{ ports: [], isCut: false },
        peers: [peerNode()],
      });
      assert.deepEqual(checks.map(formatCheck), [line]);
    });
  }
});
