import assert from "node:assert/strict";
import { toneOf } from "../../../../src/ui/page/plan/event_tone.ts";

Deno.test("toneOf() takes kinds that it does not know for news", () => {
  assert.equal(toneOf("unreachable"), "bad");
  assert.equal(toneOf("filling up"), "warning");
  assert.equal(toneOf("path alive"), "good");
  assert.equal(toneOf("joined"), "news");
  assert.equal(toneOf("a kind of a later version"), "news");
  assert.equal(toneOf("constructor"), "news");
});
