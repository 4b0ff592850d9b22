import fc from "fast-check";
import assert from "node:assert/strict";
import type { AuthorityRecord } from "../../../src/security/pki/authority.ts";
import {
  type AuthorityChange,
  formatTrust,
  planRetirement,
  planRotation,
  signingAt,
  trustedAt,
} from "../../../src/security/pki/generations.ts";
import { HOUR_MS, NOW_MS } from "./identities.ts";

/** A record as plans see it: they look at no key and no certificate. */
function record(
  generation: number,
  options: Partial<AuthorityRecord> = {},
): AuthorityRecord {
  return {
    clusterId: "c1",
    generation,
    certificate: `<${generation}>`,
    fingerprint: "",
    signsFromMs: NOW_MS,
    trustedUntilMs: NOW_MS + 1000 * HOUR_MS,
    privateKey: "key",
    ...options,
  };
}

function apply(
  records: readonly AuthorityRecord[],
  changes: readonly AuthorityChange[],
): AuthorityRecord[] {
  const all = new Map(records.map((r) => [r.generation, r]));
  for (const change of changes) {
    if (change.kind === "put") {
      all.set(change.record.generation, change.record);
    } else all.delete(change.generation);
  }
  return [...all.values()];
}

function rotate(
  records: readonly AuthorityRecord[],
  options: { readonly next: AuthorityRecord; readonly nowMs: number },
): AuthorityRecord[] {
  const plan = planRotation(records, { ...options, overlapMs: 24 * HOUR_MS });
  assert.ok(plan.kind === "planned");
  return apply(records, plan.changes);
}

Deno.test("planRotation() has two generations overlap", async (t) => {
  const next = record(2, { signsFromMs: NOW_MS + HOUR_MS });
  const records = rotate([record(1)], { next, nowMs: NOW_MS });
  const rows: readonly [
    hours: number,
    signing: number,
    trusted: readonly number[],
  ][] = [
    [0, 1, [1, 2]],
    [0.99, 1, [1, 2]],
    [1, 2, [1, 2]],
    [24.99, 2, [1, 2]],
    [25, 2, [2]],
  ];
  for (const [hours, signing, trusted] of rows) {
    await t.step(`after ${hours} h`, () => {
      const nowMs = NOW_MS + hours * HOUR_MS;
      assert.equal(signingAt(records, nowMs).generation, signing);
      assert.deepEqual(
        trustedAt(records, nowMs).map(({ generation }) => generation),
        trusted,
      );
      assert.equal(
        formatTrust(records, nowMs),
        trusted.map((generation) => `<${generation}>`).join(""),
      );
    });
  }
});

Deno.test("planRotation() refuses any but the next authority", async (t) => {
  const rows: readonly [
    name: string,
    records: readonly AuthorityRecord[],
    next: AuthorityRecord,
    message: RegExp,
  ][] = [
    ["none is there", [], record(1), /none is trusted now/],
    [
      "one is on its way",
      [
        record(1),
        record(2, { signsFromMs: NOW_MS + HOUR_MS }),
      ],
      record(3),
      /generation 2 is to sign from 2026-01-01T01:00:00.000Z on/,
    ],
    ["same generation", [record(1)], record(1), /generation 1, and 2 is next/],
    ["one left out", [record(1)], record(3), /generation 3, and 2 is next/],
    [
      "another cluster",
      [record(1)],
      record(2, { clusterId: "c2" }),
      /of cluster "c2", not "c1"/,
    ],
  ];
  for (const [name, records, next, message] of rows) {
    await t.step(name, () => {
      const plan = planRotation(records, { next, nowMs: NOW_MS, overlapMs: 0 });
      assert.ok(plan.kind === "refused");
      assert.match(plan.message, message);
    });
  }
});

Deno.test("planRetirement() gives up the key, then the authority", () => {
  const next = record(2, { signsFromMs: NOW_MS + HOUR_MS });
  const records = rotate([record(1)], { next, nowMs: NOW_MS });
  const at = (hours: number) =>
    planRetirement(records, NOW_MS + hours * HOUR_MS);
  assert.deepEqual(at(0.99), []);
  const [first] = records;
  assert.deepEqual(at(1), [
    { kind: "put", record: { ...first, privateKey: "" } },
  ]);
  assert.deepEqual(at(25), [{ kind: "remove", generation: 1 }]);
  const retired = apply(records, at(1));
  assert.deepEqual(planRetirement(retired, NOW_MS + HOUR_MS), []);
});

Deno.test("signingAt() says when none can sign", () => {
  for (
    const records of [
      [],
      [record(1, { privateKey: "" })],
      [record(1, { trustedUntilMs: NOW_MS })],
      [record(1, { signsFromMs: NOW_MS + 1 })],
    ]
  ) {
    assert.throws(() => signingAt(records, NOW_MS), {
      code: "failed_precondition",
      message: /Cannot sign a certificate: none of the \d authorities/,
    });
  }
});

Deno.test("whatever the rotations, one authority signs, and all trust it long enough", () => {
  const steps = fc.array(
    fc.record({
      waitHours: fc.integer({ min: 0, max: 60 }),
      announceHours: fc.integer({ min: 0, max: 10 }),
    }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      let nowMs = NOW_MS;
      let records: AuthorityRecord[] = [record(1)];
      for (const { waitHours, announceHours } of list) {
        nowMs += waitHours * HOUR_MS;
        records = apply(records, planRetirement(records, nowMs));
        const before = signingAt(records, nowMs);
        const next = record(trustedAt(records, nowMs).at(-1)!.generation + 1, {
          signsFromMs: nowMs + announceHours * HOUR_MS,
          trustedUntilMs: nowMs + 10_000 * HOUR_MS,
        });
        const overlapMs = 24 * HOUR_MS;
        const plan = planRotation(records, { next, nowMs, overlapMs });
        records = apply(records, plan.kind === "planned" ? plan.changes : []);
        records = apply(records, planRetirement(records, nowMs));
        // What was signed a moment ago is good for a day more, or as long as
        // its authority said when it signed.
        const stillTrusted = trustedAt(records, nowMs)
          .find(({ generation }) => generation === before.generation);
        assert.ok(
          stillTrusted &&
            stillTrusted.trustedUntilMs >=
              Math.min(before.trustedUntilMs, nowMs + overlapMs),
        );
        assert.ok(signingAt(records, nowMs).generation >= before.generation);
      }
    }),
    { numRuns: 300, seed: 2 },
  );
});
