import assert from "node:assert/strict";
import { followEvents } from "../../src/system/follow_events.ts";
import { NetError } from "../../src/base/error.ts";
import { FakeTimers } from "../support/fake_timers.ts";

Deno.test("followEvents() starts a program again after 100 ms, then after twice as long each time up to 10 s", async () => {
  const timers = new FakeTimers(0);
  const abort = new AbortController();
  const starts: number[] = [];
  try {
    const events = followEvents({
      // deno-lint-ignore require-yield
      async *follow() {
        starts.push(timers.nowMs);
        throw new NetError("unavailable", "it is not installed");
      },
    }, {
      command: { program: "x", args: [] },
      signal: abort.signal,
      read: (line) => line,
      missed: () => "missed",
      merge: (a) => a,
    });
    const ended = events.next();
    await timers.advance(32_000);
    abort.abort();
    await timers.advance(0);
    assert.deepEqual(await ended, { done: true, value: undefined });
  } finally {
    timers.uninstall();
  }
  const waits = starts.slice(1).map((at, i) => at - starts[i]!);
  assert.deepEqual(
    waits,
    [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000],
  );
});

Deno.test("followEvents() reports what it may have missed 250 ms after each start, and then waits 100 ms again", async () => {
  const timers = new FakeTimers(0);
  const abort = new AbortController();
  const starts: number[] = [];
  const seen: string[] = [];
  try {
    const events = followEvents({
      async *follow() {
        starts.push(timers.nowMs);
        yield "a line";
        await timers.wait(starts.length % 2 === 0 ? 249 : 251);
      },
    }, {
      command: { program: "x", args: [] },
      signal: abort.signal,
      read: (line) => line,
      missed: () => "missed",
      merge: (a, b) => `${a}, ${b}`,
    });
    const follow = async () => {
      for await (const event of events) seen.push(`${timers.nowMs}: ${event}`);
    };
    const following = follow();
    await timers.advance(1_200);
    abort.abort();
    await timers.advance(1_000);
    await following;
  } finally {
    timers.uninstall();
  }
  assert.deepEqual(starts, [0, 351, 800, 1_151]);
  assert.deepEqual(seen.slice(0, 3), [
    "0: a line",
    "250: missed",
    "351: a line",
  ]);
});
