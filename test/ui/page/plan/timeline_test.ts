import assert from "node:assert/strict";
import fc from "fast-check";
import {
  eventMoment,
  momentAt,
  SLIDER_STEPS,
  stepOf,
} from "../../../../src/ui/page/plan/timeline.ts";

const LINE = { beginMs: 1_000_000, endMs: 2_000_000 };

Deno.test("the slider goes from the oldest event to now", () => {
  assert.equal(stepOf(LINE, undefined), SLIDER_STEPS);
  assert.equal(stepOf(LINE, 2_000_000), SLIDER_STEPS);
  assert.equal(stepOf(LINE, 1_000_000), 0);
  assert.equal(stepOf(LINE, 0), 0);
  assert.equal(momentAt(LINE, SLIDER_STEPS), undefined);
  assert.equal(momentAt(LINE, 0), 1_000_000);
  assert.equal(stepOf({ beginMs: 5, endMs: 5 }, undefined), SLIDER_STEPS);
  fc.assert(fc.property(fc.integer({ min: 0, max: 999 }), (step) => {
    const atMs = momentAt(LINE, step)!;
    assert.ok(atMs >= LINE.beginMs && atMs <= LINE.endMs);
    assert.ok(Math.abs(stepOf(LINE, atMs) - step) <= 1);
  }));
});

Deno.test("eventMoment() goes from event to event, and to now", () => {
  const times = [9_500, 7_200, 7_100, 3_000];
  assert.equal(eventMoment(times, undefined, "back"), 9_999);
  assert.equal(eventMoment(times, 9_999, "back"), 7_999);
  assert.equal(eventMoment(times, 7_999, "back"), 3_999);
  assert.equal(eventMoment(times, 3_999, "back"), undefined);
  assert.equal(eventMoment(times, 3_999, "forward"), 7_999);
  assert.equal(eventMoment(times, 9_999, "forward"), undefined);
  assert.equal(eventMoment([], undefined, "back"), undefined);
});
