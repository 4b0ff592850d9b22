import assert from "node:assert/strict";
import { formatAddress } from "../../../src/net/address.ts";
import {
  parseBridgePorts,
  parseNeighbours,
  resolutionOf,
} from "../../../src/host/plan/probe_output.ts";

Deno.test("parseNeighbours() gives address, interface, link-layer address and state", () => {
  const text = JSON.stringify([
    {},
    { dst: "198.18.0.9", dev: "eth0", state: ["INCOMPLETE"] },
    {
      dst: "2001:2::2",
      dev: "eth1",
      lladdr: "16:c3:38:17:ec:78",
      router: null,
      state: ["STALE"],
    },
    { dst: "172.16.0.2", lladdr: "0a:58:ac:10:00:02", state: ["REACHABLE"] },
  ]);
  assert.deepEqual(
    parseNeighbours(text, "br0").map((n) =>
      [formatAddress(n.address), n.device, n.macAddress, ...n.states].join(" ")
    ),
    [
      "198.18.0.9 eth0  INCOMPLETE",
      "2001:2::2 eth1 16:c3:38:17:ec:78 STALE",
      "172.16.0.2 br0 0a:58:ac:10:00:02 REACHABLE",
    ],
  );
  assert.deepEqual(parseNeighbours(""), []);
  assert.throws(() => parseNeighbours("{}"), SyntaxError);
});

Deno.test("resolutionOf() tells sure entries from old and missing ones", async (t) => {
  const rows: readonly [state: string, resolution: string][] = [
    ["REACHABLE", "sure"],
    ["PERMANENT", "sure"],
    ["NOARP", "sure"],
    ["STALE", "old"],
    ["DELAY", "old"],
    ["PROBE", "old"],
    ["INCOMPLETE", "none"],
    ["FAILED", "none"],
  ];
  for (const [state, resolution] of rows) {
    await t.step(state, () => {
      const text = JSON.stringify([{ dst: "198.18.0.2", state: [state] }]);
      assert.equal(resolutionOf(parseNeighbours(text)[0]!), resolution);
    });
  }
});

Deno.test("parseBridgePorts() leaves out a bridge's own addresses, and multicast", () => {
  const text = JSON.stringify([
    {
      mac: "33:33:00:00:00:01",
      ifname: "br0",
      flags: ["self"],
      state: "permanent",
    },
    {
      mac: "9e:00:00:00:00:01",
      ifname: "veth0",
      master: "br0",
      state: "permanent",
    },
    { mac: "0a:58:ac:10:00:02", ifname: "veth0", master: "br0", state: "" },
    { mac: "0a:58:ac:10:00:03", ifname: "veth1", master: "br0" },
  ]);
  assert.deepEqual([...parseBridgePorts(text)], [
    ["0a:58:ac:10:00:02", "veth0"],
    ["0a:58:ac:10:00:03", "veth1"],
  ]);
  assert.throws(() => parseBridgePorts("1"), SyntaxError);
});
