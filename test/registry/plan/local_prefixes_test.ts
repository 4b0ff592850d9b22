import assert from "node:assert/strict";
import fc from "fast-check";
import { createCarve } from "../../../src/net/carve.ts";
import {
  formatPrefix,
  overlaps,
  parsePrefix,
  prefixOf,
} from "../../../src/net/prefix.ts";
import {
  MAX_LOCAL_PREFIXES,
  relevantPrefixes,
} from "../../../src/registry/plan/local_prefixes.ts";

const NETWORK = createCarve(parsePrefix("172.16.0.0/12"));
const NETWORK6 = createCarve(parsePrefix("fd00::/32"));

/** Prefixes of hosts from texts, all on one device. */
function local(...texts: string[]) {
  return texts.map((text) => ({ prefix: parsePrefix(text), device: "eth0" }));
}

function relevant(...texts: string[]): string[] {
  return relevantPrefixes([NETWORK], [], local(...texts))
    .map(({ prefix }) => formatPrefix(prefix));
}

/** Some /30 prefixes, in each of some slices of /22. */
function small(slices: number, each: number, from = 0): string[] {
  return Array.from({ length: slices * each }, (_, i) => {
    const slice = from + Math.floor(i / each);
    const third = (slice % 64) * 4;
    return `172.${16 + Math.floor(slice / 64)}.${third}.${(i % each) * 4}/30`;
  });
}

Deno.test("relevantPrefixes() keeps a few prefixes as they are, without those outside the network", () => {
  const texts = ["172.16.0.0/30", "172.17.0.0/16", "0.0.0.0/0"];
  assert.deepEqual(relevant(...texts, "10.0.0.0/8", "fd00::/64"), texts);
});

Deno.test("relevantPrefixes() leaves out prefixes in the node's own subnets", () => {
  const own = [parsePrefix("172.16.4.0/22")];
  const prefixes = local("172.16.4.0/22", "172.16.5.0/30", "172.16.0.0/21");
  assert.deepEqual(
    relevantPrefixes([NETWORK], own, prefixes)
      .map(({ prefix }) => formatPrefix(prefix)),
    ["172.16.0.0/21"],
  );
});

Deno.test("relevantPrefixes() makes whole slices of many prefixes, and joins neighbours", () => {
  assert.deepEqual(relevant(...small(1, 64)).length, 64);
  assert.deepEqual(relevant(...small(1, 60), ...small(2, 8, 1)), [
    "172.16.0.0/21",
    "172.16.8.0/22",
  ]);
  assert.deepEqual(relevant("172.16.0.0/13", ...small(512, 1)), [
    "172.16.0.0/13",
  ]);
});

Deno.test("relevantPrefixes() does not join prefixes to the whole network, which would block nobody", () => {
  assert.deepEqual(relevant(...small(1024, 4)).sort(), [
    "172.16.0.0/13",
    "172.24.0.0/13",
  ]);
});

Deno.test("relevantPrefixes() takes at most so many prefixes, the widest", () => {
  const texts = Array.from(
    { length: 2_000 },
    (_, i) => `fd00:0:${(i * 2).toString(16)}:1::/64`,
  );
  const found = relevantPrefixes(
    [NETWORK6],
    [],
    local(...texts, "fd00:0:f000::/48"),
  );
  assert.equal(found.length, 512);
  assert.equal(found.length, MAX_LOCAL_PREFIXES);
  assert.equal(formatPrefix(found[0]!.prefix), "fd00:0:f000::/48");
});

Deno.test("relevantPrefixes() covers every prefix with slices that some prefix touches", () => {
  const carve = createCarve(parsePrefix("10.0.0.0/24"), 28);
  const prefix = fc.tuple(
    fc.integer({ min: 0, max: 255 }),
    fc.integer({ min: 25, max: 32 }),
  )
    .map(([last, length]) =>
      prefixOf(parsePrefix(`10.0.0.${last}/32`), length)
    );
  fc.assert(
    fc.property(
      fc.array(prefix, { minLength: 65, maxLength: 90 }),
      (prefixes) => {
        const found = relevantPrefixes(
          [carve],
          [],
          prefixes.map((p) => ({ prefix: p, device: "" })),
        );
        for (let slice = 0; slice < 16; slice++) {
          const subnet = parsePrefix(`10.0.0.${slice * 16}/28`);
          assert.equal(
            found.some((local) => overlaps(local.prefix, subnet)),
            prefixes.some((p) => overlaps(p, subnet)),
          );
        }
      },
    ),
  );
});
