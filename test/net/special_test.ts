import assert from "node:assert/strict";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import {
  nextHopBlock,
  parseNetwork,
  specialBlockOf,
} from "../../src/net/special.ts";

const NETWORKS: readonly [cidr: string, name: string][] = [
  ["0.0.0.0/1", "this network"],
  ["127.0.0.0/16", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/8", "multicast"],
  ["240.0.0.0/8", "reserved"],
  ["fe80::/48", "link-local"],
  ["ff00::/16", "multicast"],
];

Deno.test("parseNetwork() refuses networks with a purpose of their own, by name", async (t) => {
  for (const [cidr, name] of NETWORKS) {
    await t.step(cidr, () => {
      assert.throws(() => parseNetwork(cidr), {
        name: "RangeError",
        message: new RegExp(`"${cidr}".*\\(${name}\\)`),
      });
    });
  }
});

const NEXT_HOPS: readonly [address: string, name: string | undefined][] = [
  ["198.18.0.2", undefined],
  ["10.0.0.1", undefined],
  ["fe80::1", undefined],
  ["fd00::1", undefined],
  ["0.0.0.0", "this network"],
  ["127.0.0.1", "loopback"],
  ["255.255.255.255", "reserved"],
  ["::", "unspecified and loopback"],
  ["::1", "unspecified and loopback"],
  ["ff02::1", "multicast"],
];

Deno.test("nextHopBlock() knows what cannot be a next hop", async (t) => {
  for (const [address, name] of NEXT_HOPS) {
    await t.step(address, () => {
      assert.equal(nextHopBlock(parseAddress(address))?.name, name);
    });
  }
});

Deno.test("specialBlockOf() lets the default route through", () => {
  assert.equal(specialBlockOf(parsePrefix("0.0.0.0/0")), undefined);
  assert.equal(specialBlockOf(parsePrefix("224.1.0.0/16"))?.name, "multicast");
});
