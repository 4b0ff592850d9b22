import assert from "node:assert/strict";
import fc from "fast-check";
import { createCarve } from "../../../../src/net/carve.ts";
import {
  addressAt,
  containsPrefix,
  formatPrefix,
  lastAddress,
  parsePrefix,
  prefixOf,
  prefixSize,
} from "../../../../src/net/prefix.ts";
import {
  cellAt,
  cellCount,
  cellOf,
  cellsOf,
  indexAt,
  isDeepest,
  levelOf,
  pathTo,
  rectOf,
  stopsOf,
} from "../../../../src/ui/page/plan/levels.ts";

const CARVES = [
  ["172.16.0.0/12", undefined],
  ["172.16.0.0/12", 24],
  ["10.0.0.0/8", 30],
  ["10.0.0.0/24", 24],
  ["10.0.0.0/30", 30],
  ["fd00::/48", 64],
  ["fd00::/40", 126],
].map(([network, length]) =>
  createCarve(parsePrefix(network as string), length as number | undefined)
);
const carves = fc.constantFrom(...CARVES);

Deno.test("stopsOf() stops at the network, its subnets and its addresses, at 8,192 parts a step", () => {
  for (const carve of CARVES) {
    const stops = stopsOf(carve);
    assert.equal(stops[0], carve.network.length);
    assert.ok(stops.includes(carve.subnetPrefixLength));
    assert.equal(stops.at(-1), carve.network.family === 4 ? 32 : 128);
    for (const [i, stop] of stops.slice(1).entries()) {
      assert.ok(stop > stops[i]! && stop - stops[i]! <= 13, `${stops}`);
    }
  }
});

/** A carve, and a prefix in its network. */
const places = carves.chain((carve) => {
  const bits = carve.network.family === 4 ? 32 : 128;
  return fc.record({
    carve: fc.constant(carve),
    offset: fc.bigInt({ min: 0n, max: prefixSize(carve.network) - 1n }),
    length: fc.integer({ min: carve.network.length, max: bits }),
  }).map(({ carve, offset, length }) => ({
    carve,
    prefix: prefixOf(addressAt(carve.network, offset), length),
  }));
});

Deno.test("levelOf() finds a level for each prefix of the network, and none for others", () => {
  fc.assert(fc.property(places, ({ carve, prefix }) => {
    const level = levelOf(carve, prefix)!;
    assert.ok(containsPrefix(carve.network, level.prefix));
    assert.ok(
      containsPrefix(level.prefix, prefix),
      `${formatPrefix(level.prefix)} shows ${formatPrefix(prefix)}`,
    );
    assert.ok(cellCount(level) <= 8192);
    assert.deepEqual(levelOf(carve, level.prefix), level);
    const path = pathTo(carve, level);
    assert.deepEqual(path.at(-1), level);
    assert.deepEqual(path[0]!.prefix, carve.network);
    for (const [i, next] of path.slice(1).entries()) {
      // Each is a cell of the one before.
      assert.equal(next.prefix.length, path[i]!.cellLength);
      assert.notEqual(cellOf(path[i]!, next.prefix), undefined);
    }
  }));
  const [carve] = CARVES;
  assert.equal(levelOf(carve!, parsePrefix("192.0.2.0/24")), undefined);
  assert.equal(levelOf(carve!, parsePrefix("fd00::/64")), undefined);
  assert.equal(levelOf(carve!, parsePrefix("0.0.0.0/0")), undefined);
});

Deno.test("cells are in order of address, row by row, without a gap", () => {
  fc.assert(fc.property(places, fc.nat(), ({ carve, prefix }, n) => {
    const level = levelOf(carve, prefix)!;
    const index = n % cellCount(level);
    const cell = cellAt(level, index);
    assert.equal(cell.length, level.cellLength);
    assert.ok(containsPrefix(level.prefix, cell));
    assert.equal(cellOf(level, cell), index);
    assert.equal(cellOf(level, lastAddress(cell)), index);
    assert.equal(indexAt(level, rectOf(level, index)), index);
    const next = lastAddress(cell).value + 1n;
    if (index + 1 < cellCount(level)) {
      assert.equal(cellAt(level, index + 1).value, next);
      const [here, there] = [rectOf(level, index), rectOf(level, index + 1)];
      const isRight = there.row === here.row &&
        there.column === here.column + 1;
      const isBelow = there.row === here.row + 1 && there.column === 0;
      assert.ok(isRight || isBelow);
    } else {
      assert.equal(next, lastAddress(level.prefix).value + 1n);
      assert.throws(() => cellAt(level, index + 1), RangeError);
    }
  }));
});

Deno.test("the map walks down a /48 to one address in steps that a person can make", () => {
  const carve = createCarve(parsePrefix("fd00::/48"), 64);
  const address = parsePrefix("fd00:0:0:7::1:2/128");
  let level = levelOf(carve, carve.network)!;
  let steps = 0;
  while (!isDeepest(level)) {
    level = levelOf(carve, cellAt(level, cellOf(level, address)!))!;
    steps++;
  }
  assert.equal(
    formatPrefix(cellAt(level, cellOf(level, address)!)),
    "fd00::7:0:0:1:2/128",
  );
  assert.ok(steps <= 8, `${steps}`);
  assert.equal(cellOf(level, parsePrefix("fd01::/128")), undefined);
  assert.equal(cellOf(level, parsePrefix("10.0.0.0/8")), undefined);
});

Deno.test("cellsOf() finds the cells that a range covers", async (t) => {
  const level = levelOf(
    createCarve(parsePrefix("10.0.0.0/16"), 24),
    parsePrefix("10.0.0.0/16"),
  )!;
  const rows: readonly [string, string, string, unknown][] = [
    ["one", "10.0.3.0", "10.0.3.255", { from: 3, to: 3 }],
    ["parts of two", "10.0.3.255", "10.0.4.0", { from: 3, to: 4 }],
    ["more than all", "9.0.0.0", "11.0.0.0", { from: 0, to: 255 }],
    ["none before", "9.0.0.0", "9.255.255.255", undefined],
    ["none behind", "10.1.0.0", "10.1.0.0", undefined],
  ];
  for (const [name, first, last, expected] of rows) {
    await t.step(name, () => {
      const value = (text: string) => parsePrefix(`${text}/32`).value;
      assert.deepEqual(
        cellsOf(level, { first: value(first), last: value(last) }),
        expected,
      );
    });
  }
});

Deno.test("indexAt() knows no cell beside the map", () => {
  const level = levelOf(CARVES[0]!, CARVES[0]!.network)!;
  assert.deepEqual([level.columns, level.rows], [32, 32]);
  assert.equal(indexAt(level, { column: 31.9, row: 0.5 }), 31);
  for (
    const [column, row] of [[-0.1, 0], [0, -0.1], [32, 0], [0, 32]] as const
  ) assert.equal(indexAt(level, { column, row }), undefined);
});
