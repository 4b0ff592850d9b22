import assert from "node:assert/strict";
import { RenewalLimit } from "../../src/security/renewal_limit.ts";
import { HOUR_MS } from "./pki/identities.ts";

const USUAL = {
  identity: 'node "n1"',
  terms: "1 198.18.0.1",
  lifetimeMs: 24 * HOUR_MS,
};

/** Renews as often as possible. @returns how often that was */
function exhaust(
  limit: RenewalLimit,
  attempt: (i: number) => typeof USUAL,
): number {
  for (let i = 0; i < 1_000; i++) {
    try {
      limit.count(attempt(i));
    } catch (error) {
      assert.match(String(error), /it was renewed too often; try again in/);
      return i;
    }
  }
  throw new Error("There is no limit");
}

Deno.test("RenewalLimit.count() allows a handful of renewals, and then one a minute", () => {
  let nowMs = 0;
  const limit = new RenewalLimit(() => nowMs);
  assert.equal(exhaust(limit, () => USUAL), 5);
  nowMs += 59_999;
  assert.equal(exhaust(limit, () => USUAL), 0);
  nowMs += 1;
  assert.equal(exhaust(limit, () => USUAL), 1);
  nowMs += 3_600_000;
  assert.equal(exhaust(limit, () => USUAL), 5);
});

Deno.test("RenewalLimit.count() allows more with other terms, and limits them too", () => {
  let nowMs = 0;
  const limit = new RenewalLimit(() => nowMs);
  assert.equal(exhaust(limit, () => USUAL), 5);
  const changing = (i: number) => ({ ...USUAL, terms: `1 198.18.1.${i}` });
  assert.equal(exhaust(limit, changing), 10);
  nowMs += 10_000;
  assert.equal(exhaust(limit, (i) => changing(i + 100)), 1);
});

Deno.test("RenewalLimit.count() does not make one identity pay for another", () => {
  const limit = new RenewalLimit(() => 0);
  exhaust(limit, () => USUAL);
  assert.equal(
    exhaust(limit, () => ({ ...USUAL, identity: 'node "n2"' })),
    5,
  );
});

Deno.test("RenewalLimit.count() suits short lifetimes", () => {
  let nowMs = 0;
  const limit = new RenewalLimit(() => nowMs);
  const short = { ...USUAL, lifetimeMs: 20_000 };
  exhaust(limit, () => short);
  nowMs += 2_000;
  assert.equal(exhaust(limit, () => short), 1);
});

Deno.test("RenewalLimit forgets identities that have all their renewals left", () => {
  let nowMs = 0;
  const limit = new RenewalLimit(() => nowMs);
  const renew = (i: number) => limit.count({ ...USUAL, identity: `n${i}` });
  for (let i = 0; i < 4_096; i++) renew(i);
  nowMs += HOUR_MS;
  renew(5_000);
  assert.equal(limit.size, 1);
});
