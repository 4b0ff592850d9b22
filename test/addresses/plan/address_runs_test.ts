import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type AddressState,
  joinRuns,
  planPastRuns,
} from "../../../src/addresses/plan/address_runs.ts";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import { addressAt, parsePrefix } from "../../../src/net/prefix.ts";

const SUBNET = parsePrefix("10.0.0.0/24");
const at = (offset: number) => addressAt(SUBNET, BigInt(offset));
const texts = (runs: ReturnType<typeof joinRuns>) =>
  runs.map(({ first, last, state }) =>
    `${formatAddress(first)}-${formatAddress(last)} ${state}`
  );

Deno.test("joinRuns() joins neighbours of one state, and nothing else", () => {
  const marks = fc.uniqueArray(
    fc.tuple(fc.nat(60), fc.constantFrom<AddressState>("held", "cooling")),
    { selector: ([offset]) => offset },
  ).map((list) => list.sort(([a], [b]) => a - b));
  fc.assert(fc.property(marks, (list) => {
    const runs = joinRuns(
      list.map(([offset, state]) => ({ address: at(offset), state })),
    );
    const again = runs.flatMap(({ first, last, state }) =>
      Array.from(
        { length: Number(last.value - first.value) + 1 },
        (_, i) => [Number(first.value - SUBNET.value) + i, state],
      )
    );
    assert.deepEqual(again, list);
    for (const [i, run] of runs.slice(1).entries()) {
      const before = runs[i]!;
      const isNext = before.last.value + 1n === run.first.value;
      assert.ok(!isNext || before.state !== run.state);
    }
  }));
});

Deno.test("joinRuns() does not join addresses of two families", () => {
  const runs = joinRuns(
    ["0.0.0.1", "::2"].map((text) => ({
      address: parseAddress(text),
      state: "held" as const,
    })),
  );
  assert.equal(runs.length, 2);
});

Deno.test("planPastRuns() shows what was held, cooling and reserved", async (t) => {
  const reservation = (offset: number, reservedAtMs: number) => ({
    ...{ address: at(offset), reason: "", reservedAtMs },
  });
  const rows: readonly [
    name: string,
    periods: Parameters<typeof planPastRuns>[0],
    reservations: Parameters<typeof planPastRuns>[1],
    expected: readonly string[],
  ][] = [
    ["nothing", [], [], []],
    [
      "held since before",
      [{ address: at(2), allocatedAtMs: 100 }],
      [],
      ["10.0.0.2-10.0.0.2 held"],
    ],
    ["held later", [{ address: at(2), allocatedAtMs: 101 }], [], []],
    [
      "released later",
      [{ address: at(2), allocatedAtMs: 1, releasedAtMs: 101 }],
      [],
      ["10.0.0.2-10.0.0.2 held"],
    ],
    [
      "released within the cool-down",
      [{ address: at(2), allocatedAtMs: 1, releasedAtMs: 91 }],
      [],
      ["10.0.0.2-10.0.0.2 cooling"],
    ],
    [
      "released before the cool-down",
      [{ address: at(2), allocatedAtMs: 1, releasedAtMs: 90 }],
      [],
      [],
    ],
    [
      "released, then held again",
      [
        { address: at(2), allocatedAtMs: 1, releasedAtMs: 95 },
        { address: at(2), allocatedAtMs: 96 },
        { address: at(3), allocatedAtMs: 97 },
      ],
      [],
      ["10.0.0.2-10.0.0.3 held"],
    ],
    [
      "reserved by then, and later",
      [{ address: at(4), allocatedAtMs: 1, releasedAtMs: 95 }],
      [reservation(4, 100), reservation(5, 101)],
      ["10.0.0.4-10.0.0.4 reserved"],
    ],
    [
      "reserved and held",
      [{ address: at(4), allocatedAtMs: 1 }],
      [reservation(4, 1)],
      ["10.0.0.4-10.0.0.4 held"],
    ],
    [
      "of another subnet",
      [{ address: parseAddress("10.0.1.2"), allocatedAtMs: 1 }],
      [],
      [],
    ],
  ];
  for (const [name, periods, reservations, expected] of rows) {
    await t.step(name, () => {
      const runs = planPastRuns(periods, reservations, {
        ...{ atMs: 100, coolDownMs: 10, within: [SUBNET] },
      });
      assert.deepEqual(texts(runs), expected);
    });
  }
});
