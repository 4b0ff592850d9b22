import assert from "node:assert/strict";
import {
  ReconcileSchedule,
  type ReconcileScheduleOptions,
} from "../../src/base/reconcile_schedule.ts";
import { FakeTimers } from "../support/fake_timers.ts";

const START_MS = 1_700_000_000_000;

/** A schedule on fake timers, with the times of its runs since the start. */
interface Bench extends Disposable {
  readonly schedule: ReconcileSchedule;
  readonly timers: FakeTimers;
  readonly runs: number[];
  /** The duration of each run. */
  runMs: number;
  /** The outcome of each run. */
  isDone: boolean;
}

function start(options: Partial<ReconcileScheduleOptions> = {}): Bench {
  const timers = new FakeTimers(START_MS);
  const bench: Bench = {
    timers,
    runs: [],
    runMs: 0,
    isDone: true,
    schedule: new ReconcileSchedule({
      what: "test",
      async run() {
        bench.runs.push(timers.nowMs - START_MS);
        await timers.wait(bench.runMs);
        return bench.isDone;
      },
      clock: () => timers.nowMs,
      debounceMs: 50,
      intervalMs: 30_000,
      ...options,
    }),
    [Symbol.dispose]: () => timers.uninstall(),
  };
  return bench;
}

Deno.test("ReconcileSchedule runs once for a burst of events, after the debounce time", async () => {
  using bench = start();
  const { schedule, timers, runs } = bench;
  for (let i = 0; i < 10; i++) {
    schedule.runSoon();
    await timers.advance(4);
  }
  await timers.advance(1_000);
  assert.deepEqual(runs, [50]);
});

Deno.test("ReconcileSchedule rests after a run for four times its duration, and 400 ms at most", async (t) => {
  const rows: readonly [runMs: number, restMs: number][] = [
    [0, 50],
    [20, 80],
    [60, 240],
    [100, 400],
    [500, 400],
  ];
  for (const [runMs, restMs] of rows) {
    await t.step(`a run of ${runMs} ms`, async () => {
      using bench = start();
      const { schedule, timers, runs } = bench;
      bench.runMs = runMs;
      schedule.runSoon();
      await timers.advance(50 + runMs);
      schedule.runSoon();
      await timers.advance(2_000);
      assert.deepEqual(runs, [50, 50 + runMs + restMs]);
    });
  }
});

Deno.test("ReconcileSchedule.runNow() does not wait for the rest, and waits for a run that began after the call", async () => {
  using bench = start();
  const { schedule, timers, runs } = bench;
  bench.runMs = 100;
  schedule.runSoon();
  await timers.advance(60);
  let isAnswered = false;
  const answered = schedule.runNow().then(() => isAnswered = true);
  await timers.advance(95);
  assert.deepEqual([runs, isAnswered], [[50, 150], false]);
  await timers.advance(100);
  await answered;
  assert.deepEqual([runs, isAnswered], [[50, 150], true]);
});

Deno.test("ReconcileSchedule runs at its interval once it is started, and not before", async () => {
  using bench = start();
  const { schedule, timers, runs } = bench;
  void schedule.runNow();
  await timers.advance(100_000);
  assert.deepEqual(runs, [0]);
  schedule.start();
  void schedule.runNow();
  await timers.advance(60_000);
  assert.deepEqual(runs, [0, 100_000, 130_000, 160_000]);
});

Deno.test("ReconcileSchedule tries again after 500 ms, then after twice as long each time up to the interval", async () => {
  using bench = start({ intervalMs: 3_000 });
  const { schedule, timers, runs } = bench;
  bench.isDone = false;
  schedule.start();
  void schedule.runNow();
  await timers.advance(9_500);
  bench.isDone = true;
  await timers.advance(3_000);
  assert.deepEqual(runs, [0, 500, 1_500, 3_500, 6_500, 9_500, 12_500]);
  bench.isDone = false;
  await timers.advance(3_500);
  assert.deepEqual(runs.slice(7), [15_500, 16_000]);
});

Deno.test("ReconcileSchedule passes the error of a run to its callers, and tries again", async () => {
  let fails = true;
  let runs = 0;
  using bench = start({
    run() {
      runs++;
      return fails ? Promise.reject(new Error("no")) : Promise.resolve(true);
    },
  });
  const { schedule, timers } = bench;
  schedule.start();
  const refused = assert.rejects(schedule.runNow(), /^Error: no$/);
  await timers.advance(0);
  await refused;
  fails = false;
  await timers.advance(500);
  assert.equal(runs, 2);
});

Deno.test("ReconcileSchedule.stop() waits for the run that is under way, and answers those that wait for another", async () => {
  using bench = start();
  const { schedule, timers, runs } = bench;
  bench.runMs = 100;
  schedule.start();
  void schedule.runNow();
  await timers.advance(10);
  const waiting = schedule.runNow();
  let isStopped = false;
  const stopped = schedule.stop().then(() => isStopped = true);
  await timers.advance(80);
  assert.equal(isStopped, false);
  await timers.advance(20);
  await Promise.all([stopped, waiting, schedule.runNow()]);
  await timers.advance(100_000);
  assert.deepEqual(runs, [0]);
});
