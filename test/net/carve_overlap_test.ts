import assert from "node:assert/strict";
import fc from "fast-check";
import { addressBits } from "../../src/net/address.ts";
import { createCarve, slicesOverlapping } from "../../src/net/carve.ts";
import { overlaps, parsePrefix, prefixOf } from "../../src/net/prefix.ts";
import { allSlices, anyCarve } from "./carves.ts";

Deno.test("slicesOverlapping() finds the slices that a prefix touches", async (t) => {
  const rows: readonly [
    network: string,
    prefix: string,
    found: readonly [bigint, bigint] | undefined,
  ][] = [
    ["172.16.0.0/12", "172.17.0.0/16", [64n, 127n]],
    ["172.16.0.0/12", "172.16.0.0/22", [0n, 0n]],
    ["172.16.0.0/12", "172.16.4.9/32", [1n, 1n]],
    ["172.16.0.0/12", "172.31.255.255/32", [1023n, 1023n]],
    ["172.16.0.0/12", "172.16.0.0/12", [0n, 1023n]],
    ["172.16.0.0/12", "0.0.0.0/0", [0n, 1023n]],
    ["172.16.0.0/12", "172.32.0.0/16", undefined],
    ["172.16.0.0/12", "172.15.0.0/16", undefined],
    ["172.16.0.0/12", "::/0", undefined],
    ["fd00::/16", "fd00:8000::/17", [2n ** 47n, 2n ** 48n - 1n]],
    ["fd00::/16", "fd00:8000::1/128", [2n ** 47n, 2n ** 47n]],
  ];
  for (const [network, prefix, found] of rows) {
    await t.step(`${prefix} in ${network}`, () => {
      const carve = createCarve(parsePrefix(network));
      assert.deepEqual(
        slicesOverlapping(carve, parsePrefix(prefix)),
        found && { first: found[0], last: found[1] },
      );
    });
  }
});

Deno.test("slicesOverlapping() agrees with trying every slice", () => {
  fc.assert(
    fc.property(anyCarve(6), fc.bigInt(), fc.nat(12), (carve, offset, n) => {
      // A prefix in or around the network, from larger than it to smaller
      // than a slice.
      const { family, value } = carve.network;
      const bits = addressBits(family);
      const shift = BigInt(bits - carve.network.length);
      const address = BigInt.asUintN(
        bits,
        value + offset % (3n << shift) - (1n << shift),
      );
      const length = Math.min(bits, Math.max(0, carve.network.length - 3 + n));
      const prefix = prefixOf({ family, value: address }, length);

      const hits = allSlices(carve)
        .flatMap((slice, i) => overlaps(slice, prefix) ? [BigInt(i)] : []);
      const found = slicesOverlapping(carve, prefix);
      assert.equal(found?.first, hits[0]);
      assert.equal(found?.last, hits.at(-1));
      assert.equal(
        found === undefined ? 0 : found.last - found.first + 1n,
        found === undefined ? hits.length : BigInt(hits.length),
      );
    }),
    { numRuns: 1000 },
  );
});
