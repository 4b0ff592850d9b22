import assert from "node:assert/strict";
import { createCarve } from "../../../../src/net/carve.ts";
import { formatPrefix, parsePrefix } from "../../../../src/net/prefix.ts";
import { levelOf } from "../../../../src/ui/page/plan/levels.ts";
import type { Slice } from "../../../../src/ui/page/plan/slices.ts";
import {
  describeAddress,
  describeSubnet,
  formatCount,
  readWhere,
} from "../../../../src/ui/page/plan/space_text.ts";

const CARVE = createCarve(parsePrefix("10.0.0.0/8"), 16);
const PREFIX = parsePrefix("10.1.0.0/16");
const SLICE: Slice = {
  ...{ cidr: "10.1.0.0/16", prefix: PREFIX, state: "owned", node: "host1" },
  ...{ reason: "", sinceMs: undefined, used: 0.125 },
};

Deno.test("readWhere() reads addresses and prefixes, and nothing else", () => {
  const text = (where: string) => {
    const prefix = readWhere(where);
    return prefix && formatPrefix(prefix);
  };
  assert.equal(text("10.1.2.3"), "10.1.2.3/32");
  assert.equal(text("fd00::1"), "fd00::1/128");
  assert.equal(text("10.0.0.0/8"), "10.0.0.0/8");
  for (const other of ["", "web-1", "10.0.0.1/8", "10.0.0", "1/2/3"]) {
    assert.equal(text(other), undefined, other);
  }
});

Deno.test("describeSubnet() says whose it is, and why", async (t) => {
  const rows: readonly [Partial<Slice> | undefined, string][] = [
    [undefined, "10.1.0.0/16 is free"],
    [{}, "10.1.0.0/16 is owned by host1, 12% in use"],
    [
      { state: "reserved", used: undefined, reason: "rack 9" },
      "10.1.0.0/16 is reserved for host1: rack 9",
    ],
    [
      { state: "reserved", used: undefined, node: "" },
      "10.1.0.0/16 is reserved",
    ],
    [
      { state: "conflicting", used: undefined, reason: "it is eth1's" },
      "10.1.0.0/16 is in conflict on host1: it is eth1's",
    ],
    [
      { state: "released", used: undefined },
      "10.1.0.0/16 is released by host1",
    ],
  ];
  for (const [change, expected] of rows) {
    await t.step(expected, () => {
      const slice = change && { ...SLICE, ...change };
      assert.equal(describeSubnet(PREFIX, slice), expected);
    });
  }
});

Deno.test("describeAddress() says what an address, or many of them, are", () => {
  const at = (prefix: string, use = {}) => {
    const of = parsePrefix(prefix);
    const level = levelOf(CARVE, of)!;
    return describeAddress(of, { use, slice: SLICE, level });
  };
  assert.equal(at("10.1.0.0/32"), "10.1.0.0 is the network address");
  assert.equal(at("10.1.0.1/32"), "10.1.0.1 is the gateway");
  assert.equal(at("10.1.0.2/32"), "10.1.0.2 is free");
  assert.equal(at("10.1.0.3/32", { leaked: 1 }), "10.1.0.3 is leaked");
  const level = levelOf(CARVE, PREFIX)!;
  const many = (use: object) =>
    describeAddress(parsePrefix("10.1.2.0/24"), { use, slice: SLICE, level });
  assert.equal(many({}), "10.1.2.0/24: all free");
  assert.equal(
    many({ held: 0.5, leaked: 1 / 256 }),
    "10.1.2.0/24: 1 leaked, 128 held",
  );
});

Deno.test("formatCount() stays readable in a /64", () => {
  assert.equal(formatCount(1021), "1,021");
  assert.equal(formatCount(2 ** 64), "about 2^64");
});
