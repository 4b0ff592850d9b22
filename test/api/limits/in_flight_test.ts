import assert from "node:assert/strict";
import { InFlightCalls } from "../../../src/api/limits/in_flight.ts";

Deno.test("InFlightCalls checks its calls once a second, and wakes nobody without calls", () => {
  const real = { setInterval, clearInterval };
  let tick: (() => void) | undefined;
  Object.assign(globalThis, {
    setInterval: (run: () => void, ms: number) => {
      assert.deepEqual([tick, ms], [undefined, 1_000]);
      tick = run;
      return 1;
    },
    clearInterval: (id: number) => {
      if (id === 1) tick = undefined;
    },
  });
  try {
    const calls = new InFlightCalls(100);
    assert.equal(tick, undefined);
    let checks = 0;
    const call = { share: undefined, check: () => void checks++ };
    for (const round of [1, 2]) {
      calls.add(call);
      tick!();
      assert.equal(checks, round);
      calls.delete(call);
      tick!();
      assert.equal(checks, round);
      assert.equal(tick, undefined);
    }
    calls.add(call);
    calls.close();
    assert.equal(tick, undefined);
  } finally {
    Object.assign(globalThis, real);
  }
});
