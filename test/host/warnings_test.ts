import assert from "node:assert/strict";
import {
  clockWarnings,
  hostWarnings,
  type NodeOnHost,
} from "../../src/host/facts.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";

const NODE: NodeOnHost = {
  config: { bridge: "br0", masquerade: true },
  mode: "apply",
  subnets: ["172.16.0.0/22", "fd00:1::/64"].map(parsePrefix),
  advertised: ["192.0.2.1", "2001:db8::1"].map(parseAddress),
  hasPeers: true,
};

const ROWS: readonly (readonly [
  name: string,
  node: Partial<NodeOnHost>,
  warnings: readonly string[],
])[] = [
  ["all is well", {}, []],
  ["a plan, with nothing else asked for", {
    mode: "plan",
    config: { bridge: undefined, masquerade: false },
  }, []],
  ["a plan and a bridge", {
    mode: "plan",
    config: { bridge: "br0", masquerade: false },
  }, [
    "--routes plan: nothing is changed on this host, so that --bridge does nothing",
  ]],
  ["a plan, a bridge and masquerading", { mode: "plan" }, [
    "--routes plan: nothing is changed on this host, so that --bridge and --masquerade do nothing",
  ]],
  ["routes that are off, and a bridge", { mode: "off" }, []],
  ["no IPv6 address is advertised", {
    advertised: [parseAddress("192.0.2.1")],
  }, [
    "no other host has a route to fd00:1::/64: this node advertises no IPv6 address; name one of its own with --advertise",
  ]],
  ["no address at all, and no other node", {
    advertised: [],
    hasPeers: false,
  }, []],
];

for (const [name, node, warnings] of ROWS) {
  Deno.test(`hostWarnings() with ${name}`, () => {
    assert.deepEqual(hostWarnings({ ...NODE, ...node }), warnings);
  });
}

Deno.test("clockWarnings() names a clock that is off by seconds, and its direction", () => {
  assert.deepEqual(clockWarnings(undefined), []);
  assert.deepEqual(clockWarnings(4_900), []);
  assert.deepEqual(clockWarnings(-4_900), []);
  assert.match(clockWarnings(61_200).join(), /is 61 s ahead of the registry's/);
  assert.match(clockWarnings(-5_000).join(), /is 5 s behind the registry's/);
});
