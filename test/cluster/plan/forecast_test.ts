import assert from "node:assert/strict";
import fc from "fast-check";
import {
  DAY_MS,
  forecast,
  HOUR_MS,
  MAX_BASIS_MS,
  type Sample,
} from "../../../src/cluster/plan/forecast.ts";

const NOW_MS = 1_800_000_000_000;

/** Samples every `stepMs` up to now; `countAt` takes the days since the first. */
function series(
  options: {
    readonly days: number;
    readonly stepMs?: number;
    readonly countAt: (days: number) => number;
  },
): Sample[] {
  const { days, stepMs = HOUR_MS, countAt } = options;
  const spanMs = days * DAY_MS;
  return Array.from({ length: Math.floor(spanMs / stepMs) + 1 }, (_, i) => ({
    atMs: NOW_MS - spanMs + i * stepMs,
    count: countAt(i * stepMs / DAY_MS),
  }));
}

Deno.test("forecast() extends the trend of the last days to the capacity", async (t) => {
  const rows: readonly [
    name: string,
    samples: readonly Sample[],
    expected: { perDay: number; fullInDays: number | undefined } | undefined,
  ][] = [
    [
      "ten a day, 300 of 1000 held",
      series({
        days: 5,
        countAt: (days) => 250 + 10 * days,
      }),
      { perDay: 10, fullInDays: 70 },
    ],
    ["constant", series({ days: 5, countAt: () => 40 }), {
      perDay: 0,
      fullInDays: undefined,
    }],
    ["shrinking", series({ days: 2, countAt: (days) => 500 - 20 * days }), {
      perDay: -20,
      fullInDays: undefined,
    }],
    ["full already", series({ days: 2, countAt: () => 1000 }), {
      perDay: 0,
      fullInDays: 0,
    }],
    [
      "one hour with a burst",
      series({
        days: 4,
        countAt: (days) => Math.abs(days - 2) < 0.02 ? 900 : 100 + 10 * days,
      }),
      { perDay: 10, fullInDays: 86 },
    ],
    ["23 hours", series({ days: 23 / 24, countAt: (d) => 100 * d }), undefined],
    [
      "five samples in two days",
      series({
        days: 2,
        stepMs: DAY_MS / 2,
        countAt: (days) => 10 * days,
      }),
      undefined,
    ],
    ["no samples", [], undefined],
    [
      "a growth that takes more than ten years",
      series({
        days: 3,
        countAt: (days) => 10 + days / 100,
      }),
      { perDay: 0.01, fullInDays: undefined },
    ],
  ];
  for (const [name, samples, expected] of rows) {
    await t.step(name, () => {
      const found = forecast(samples, { capacity: 1000, nowMs: NOW_MS });
      assert.equal(found === undefined, expected === undefined);
      if (!found || !expected) return;
      assert.ok(Math.abs(found.perDay - expected.perDay) < 1e-6);
      const days = found.fullAtMs === undefined
        ? undefined
        : Math.round((found.fullAtMs - NOW_MS) / DAY_MS);
      assert.equal(days, expected.fullInDays);
    });
  }
});

Deno.test("forecast() leaves out samples older than two weeks and those of the future", () => {
  const old = { atMs: NOW_MS - MAX_BASIS_MS - 1, count: 990 };
  const future = { atMs: NOW_MS + HOUR_MS, count: 990 };
  const recent = series({ days: 2, countAt: (days) => 10 * days });
  const limits = { capacity: 1000, nowMs: NOW_MS };
  assert.deepEqual(
    forecast([old, ...recent, future], limits),
    forecast(recent, limits),
  );
});

Deno.test("forecast() of a straight line gives its slope back, in any order of samples", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 1000 }),
    fc.integer({ min: -50, max: 50 }),
    fc.integer({ min: 2, max: 13 }),
    (start, perDay, days) => {
      const samples = series({
        days,
        stepMs: 6 * HOUR_MS,
        countAt: (day) => start + perDay * day,
      });
      const found = forecast(samples.toReversed(), {
        capacity: 100_000,
        nowMs: NOW_MS,
      });
      assert.ok(found && Math.abs(found.perDay - perDay) < 1e-6);
      assert.equal(found.basisMs, days * DAY_MS);
    },
  ));
});
