import assert from "node:assert/strict";
import { Counter, Registry } from "prom-client";
import { BufferedCounter } from "../../src/metrics/counters.ts";
import { valuesOf } from "../support/exposition.ts";

Deno.test("BufferedCounter passes each count on once", async () => {
  const register = new Registry();
  const counter = new Counter({
    name: "a_total",
    help: "a",
    labelNames: ["b"],
    registers: [register],
  });
  const series = new BufferedCounter(counter.labels("c"));
  const read = async () => valuesOf(await register.metrics(), "a_total");
  assert.deepEqual(await read(), { c: 0 });
  series.inc();
  series.inc(4);
  assert.deepEqual(await read(), { c: 0 });
  series.flush();
  series.flush();
  assert.deepEqual(await read(), { c: 5 });
});
