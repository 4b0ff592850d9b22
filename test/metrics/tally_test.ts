import assert from "node:assert/strict";
import { Counter, Registry } from "prom-client";
import { Tally } from "../../src/metrics/series.ts";
import { valuesOf } from "../support/exposition.ts";

Deno.test("Tally hands on what was counted, once", async () => {
  const register = new Registry();
  const counter = new Counter({
    name: "a_total",
    help: "a",
    labelNames: ["b"],
    registers: [register],
  });
  const tally = new Tally(counter.labels("c"));
  const read = async () => valuesOf(await register.metrics(), "a_total");
  assert.deepEqual(await read(), { c: 0 });
  tally.inc();
  tally.inc(4);
  assert.deepEqual(await read(), { c: 0 });
  tally.flush();
  tally.flush();
  assert.deepEqual(await read(), { c: 5 });
});
