import assert from "node:assert/strict";
import {
  Allowance,
  MAX_NEIGHBOURS,
  nextSample,
  REQUESTS_PER_SECOND,
  ringNeighbours,
  roundMs,
  trainLength,
} from "../../../src/probe/plan/schedule.ts";

const SIZES = [1, 2, 3, 9, 10, 11, 100, 300];

function names(count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) => `n${String(i).padStart(4, "0")}`,
  );
}

Deno.test("ringNeighbours() gives every host at most eight neighbours, and each is one of the other", () => {
  for (const size of SIZES) {
    const all = names(size);
    const of = new Map(
      all.map((name) => [name, new Set(ringNeighbours(name, all))]),
    );
    for (const [name, neighbours] of of) {
      assert.equal(neighbours.size, Math.min(size - 1, MAX_NEIGHBOURS));
      assert.ok(!neighbours.has(name));
      for (const other of neighbours) {
        assert.ok(of.get(other)!.has(name), `${name} and ${other} of ${size}`);
      }
    }
  }
});

Deno.test("a round takes a second, or as long as its requests may take", () => {
  for (let neighbours = 1; neighbours <= MAX_NEIGHBOURS; neighbours++) {
    for (const hasSample of [false, true]) {
      const ms = roundMs(neighbours, hasSample);
      const requests = neighbours * trainLength(neighbours) +
        Number(hasSample);
      assert.ok(requests / ms * 1_000 <= REQUESTS_PER_SECOND);
      assert.ok(ms >= 1_000 && ms <= 1_125, `${ms}`);
    }
  }
});

Deno.test("nextSample() visits each peer that is not a neighbour once per cycle", () => {
  for (const size of [10, 100, 1000]) {
    const all = names(size);
    const self = all[size >> 1]!;
    const neighbours = new Set(ringNeighbours(self, all));
    const peers = all.filter((name) => name !== self);
    const rounds = peers.length - neighbours.size;
    const seen = new Set<string>();
    let last = self;
    for (let i = 0; i < rounds; i++) {
      last = nextSample(last, { peers, neighbours })!;
      seen.add(last);
    }
    assert.equal(seen.size, rounds);
    assert.ok([...seen].every((name) => !neighbours.has(name)));
  }
});

Deno.test("nextSample() returns undefined if all peers are neighbours", () => {
  const peers = names(3);
  const neighbours = new Set(peers);
  assert.equal(nextSample("", { peers, neighbours }), undefined);
});

Deno.test("Allowance saves up a burst, and then gives no more than its rate", () => {
  const allowance = new Allowance({ perSecond: 8, most: 12, nowMs: 0 });
  assert.equal(allowance.take(100, 0), 12);
  assert.equal(allowance.take(1, 100), 0);
  let taken = 0;
  for (let nowMs = 100; nowMs <= 10_100; nowMs += 10) {
    taken += allowance.take(3, nowMs);
  }
  assert.equal(taken, 80);
  assert.equal(allowance.take(100, 1e6), 12);
});
