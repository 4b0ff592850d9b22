import assert from "node:assert/strict";
import { OwnReport } from "../../src/cluster/own_report.ts";
import { FakeTimers } from "../support/fake_timers.ts";
import { REPORT } from "./plan/reports.ts";

Deno.test("OwnReport sends a report again that came too soon, once", async () => {
  const timers = new FakeTimers(0);
  try {
    const answers = [true, false, false, true];
    const received: string[] = [];
    const own = new OwnReport({
      node: "a",
      source: { read: () => Promise.resolve(REPORT) },
      reports: {
        receive(node) {
          received.push(node);
          return answers.shift()!;
        },
      },
    });
    await own.send();
    await timers.advance(10_000);
    assert.equal(received.length, 1, "it was taken");
    // Two in a row are repeated together.
    own.sendSoon();
    own.sendSoon();
    await timers.advance(10_000);
    assert.equal(received.length, 4);
    assert.deepEqual(answers, []);
    own.stop();
  } finally {
    timers.uninstall();
  }
});
