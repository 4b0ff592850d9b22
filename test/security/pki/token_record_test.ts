import fc from "fast-check";
import assert from "node:assert/strict";
import {
  forgottenTokens,
  KEPT_TOKEN_MS,
  listTokens,
  tokenState,
} from "../../../src/security/pki/token_record.ts";
import {
  KEPT_USES,
  planTokenCreate,
  planTokenRevoke,
  planTokenUse,
  type TokenRecord,
  type TokenTerms,
} from "../../../src/security/pki/token_record.ts";
import { HOUR_MS, NOW_MS } from "./identities.ts";

const MADE = {
  id: "00112233aabb",
  verifier: { salt: "c2FsdA", storedKey: "a2V5" },
  fingerprint: `sha256:${"5a".repeat(32)}`,
  nowMs: NOW_MS,
};
const TERMS: TokenTerms = {
  role: "node",
  name: "",
  lifetimeMs: HOUR_MS,
  maxUses: 2,
};
const USE = {
  isProven: true,
  name: "n1",
  keyFingerprint: "key 1",
  nowMs: NOW_MS,
};

function create(terms: Partial<TokenTerms> = {}): TokenRecord {
  const plan = planTokenCreate({ ...TERMS, ...terms }, MADE);
  assert.ok(plan.kind === "planned");
  return plan.answer;
}

/** The record after a use that is let in. */
function use(record: TokenRecord, change: Partial<typeof USE>): TokenRecord {
  const plan = planTokenUse(record, { ...USE, ...change });
  assert.ok(plan.kind === "planned");
  return plan.changes[0] ?? record;
}

Deno.test("planTokenCreate() writes the requested token", () => {
  assert.deepEqual(create({ role: "operator", name: "alice", maxUses: 1 }), {
    id: MADE.id,
    verifier: MADE.verifier,
    fingerprint: MADE.fingerprint,
    role: "operator",
    name: "alice",
    createdAtMs: NOW_MS,
    expiresAtMs: NOW_MS + HOUR_MS,
    maxUses: 1,
    used: 0,
    uses: [],
    revokedAtMs: 0,
  });
});

Deno.test("planTokenCreate() refuses terms that make no sense", async (t) => {
  const rows: readonly [terms: Partial<TokenTerms>, message: RegExp][] = [
    [
      { lifetimeMs: 59_999 },
      /"lifetime" is 59.999 s, and has to be 60 s to 2592000 s$/,
    ],
    [{ lifetimeMs: 31 * 24 * HOUR_MS }, /"lifetime" is 2678400 s,/],
    [{ lifetimeMs: NaN }, /"lifetime" is NaN s/],
    [{ maxUses: 0 }, /"max_uses" is 0, and has to be 1 to 10000$/],
    [{ maxUses: 1.5 }, /"max_uses" is 1.5,/],
    [{ maxUses: 10_001 }, /"max_uses" is 10001,/],
    [{ role: "operator" }, /role operator needs the name of its holder/],
    [{ role: "readonly" }, /role readonly needs the name of its holder/],
    [{ name: "a/b" }, /"a\/b" is not valid/],
  ];
  for (const [terms, message] of rows) {
    await t.step(JSON.stringify(terms), () => {
      const plan = planTokenCreate({ ...TERMS, ...terms }, MADE);
      assert.ok(plan.kind === "refused");
      assert.equal(plan.code, "invalid_argument");
      assert.match(plan.message, /^Cannot create a token: /);
      assert.match(plan.message, message);
    });
  }
});

Deno.test("planTokenUse() has a refusal for each reason", async (t) => {
  const usedUp = use(use(create(), {}), { keyFingerprint: "key 2" });
  const revoked = { ...create(), revokedAtMs: NOW_MS };
  const wrong = { ...USE, isProven: false };
  const rows: readonly [
    name: string,
    record: TokenRecord | undefined,
    change: Partial<typeof USE>,
    reason: string,
    code: string,
    message: RegExp,
  ][] = [
    [
      "no such token",
      undefined,
      {},
      "unknown",
      "unauthenticated",
      /no token of this cluster has its id/,
    ],
    [
      "no such token, proven or not",
      undefined,
      wrong,
      "unknown",
      "unauthenticated",
      /its id/,
    ],
    [
      "wrong secret",
      create(),
      wrong,
      "wrong_secret",
      "unauthenticated",
      /its secret is wrong/,
    ],
    [
      "wrong secret of a revoked one",
      revoked,
      wrong,
      "wrong_secret",
      "unauthenticated",
      /its secret is wrong/,
    ],
    [
      "revoked",
      revoked,
      {},
      "revoked",
      "permission_denied",
      /was revoked at 2026-01-01T00:00:00.000Z/,
    ],
    [
      "at its end",
      create(),
      { nowMs: NOW_MS + HOUR_MS },
      "expired",
      "permission_denied",
      /expired at 2026-01-01T01:00:00.000Z/,
    ],
    [
      "another name",
      create({ name: "n2" }),
      {},
      "other_name",
      "permission_denied",
      /it is for "n2", not "n1"/,
    ],
    [
      "another case",
      create({ name: "N1" }),
      {},
      "other_name",
      "permission_denied",
      /it is for "N1"/,
    ],
    [
      "used up",
      usedUp,
      { keyFingerprint: "key 3" },
      "used_up",
      "permission_denied",
      /good for 2 uses/,
    ],
    [
      "used up, its key with another name",
      usedUp,
      { name: "n2" },
      "used_up",
      "permission_denied",
      /good for 2 uses/,
    ],
  ];
  for (const [name, record, change, reason, code, message] of rows) {
    await t.step(name, () => {
      const plan = planTokenUse(record, { ...USE, ...change });
      assert.ok(plan.kind === "refused");
      assert.deepEqual([plan.reason, plan.code], [reason, code]);
      assert.match(
        plan.message,
        /^Cannot join with this token: .*create another one$/,
      );
      assert.match(plan.message, message);
    });
  }
});

Deno.test("planTokenUse() admits with the token's role, and counts", () => {
  const record = create({ role: "readonly", name: "n1" });
  const plan = planTokenUse(record, { ...USE, nowMs: NOW_MS + HOUR_MS - 1 });
  assert.ok(plan.kind === "planned");
  assert.deepEqual(plan.answer, { role: "readonly", name: "n1" });
  assert.deepEqual(plan.changes, [{
    ...record,
    used: 1,
    uses: [{
      name: "n1",
      keyFingerprint: "key 1",
      usedAtMs: NOW_MS + HOUR_MS - 1,
    }],
  }]);
});

Deno.test("planTokenUse() takes an attempt that is repeated for no further use", () => {
  const record = use(create({ maxUses: 1 }), {});
  const again = planTokenUse(record, { ...USE, nowMs: NOW_MS + 1000 });
  assert.ok(again.kind === "planned");
  assert.deepEqual(again.changes, []);
  // The use before has been undone.
  const revoked = { ...USE, nowMs: NOW_MS + 1000, revokedUpToMs: NOW_MS };
  assert.equal(planTokenUse(record, revoked).kind, "refused");
  const late = planTokenUse(record, { ...USE, nowMs: NOW_MS + HOUR_MS });
  assert.equal(late.kind, "refused");
});

Deno.test("planTokenUse() never admits more keys than the token has uses", () => {
  const attempts = fc.array(
    fc.tuple(fc.nat(20), fc.nat(3), fc.boolean()),
    { maxLength: 120 },
  );
  fc.assert(
    fc.property(
      attempts,
      fc.integer({ min: 1, max: 60 }),
      (list, maxUses) => {
        let record = create({ maxUses });
        const letIn = new Set<string>();
        for (const [key, node, isProven] of list) {
          const who = { name: `n${node}`, keyFingerprint: `${key}` };
          const plan = planTokenUse(record, { ...USE, ...who, isProven });
          if (plan.kind === "refused") continue;
          assert.ok(isProven);
          letIn.add(JSON.stringify(who));
          record = plan.changes[0] ?? record;
        }
        assert.ok(letIn.size <= maxUses && record.used <= maxUses);
        assert.ok(record.used >= letIn.size);
        assert.ok(record.uses.length <= KEPT_USES);
      },
    ),
    { numRuns: 200, seed: 13 },
  );
});

Deno.test("planTokenRevoke() ends a token, once", () => {
  const request = { id: MADE.id, nowMs: NOW_MS + 1 };
  const plan = planTokenRevoke(create(), request);
  assert.ok(plan.kind === "planned");
  assert.equal(plan.answer.revokedAtMs, NOW_MS + 1);
  assert.deepEqual(plan.changes, [plan.answer]);
  const again = planTokenRevoke(plan.answer, { ...request, nowMs: NOW_MS + 5 });
  assert.ok(again.kind === "planned");
  assert.deepEqual(again.changes, []);
  assert.equal(again.answer.revokedAtMs, NOW_MS + 1);
  const unknown = planTokenRevoke(undefined, request);
  assert.ok(unknown.kind === "refused");
  assert.equal(unknown.code, "not_found");
});

Deno.test("listTokens() shows states, the latest first, and nothing of a secret", () => {
  const usedUp = use(create({ maxUses: 1 }), {});
  const records: TokenRecord[] = [
    { ...create(), id: "000000000001", createdAtMs: NOW_MS - 4 },
    { ...usedUp, id: "000000000002", createdAtMs: NOW_MS - 3 },
    {
      ...create(),
      id: "000000000003",
      createdAtMs: NOW_MS - 2,
      expiresAtMs: NOW_MS,
    },
    {
      ...usedUp,
      id: "000000000004",
      createdAtMs: NOW_MS - 1,
      revokedAtMs: NOW_MS,
    },
  ];
  const listed = listTokens(records, NOW_MS);
  assert.deepEqual(
    listed.map(({ id, state, usesLeft }) => [id.slice(-1), state, usesLeft]),
    [["4", "revoked", 0], ["3", "expired", 2], ["2", "used_up", 0], [
      "1",
      "usable",
      2,
    ]],
  );
  const text = JSON.stringify(listed);
  assert.ok(!text.includes(MADE.verifier.salt));
  assert.ok(!text.includes(MADE.verifier.storedKey));
});

Deno.test("tokenState() is usable exactly when planTokenUse() lets a joining host in", () => {
  fc.assert(
    fc.property(
      fc.record({
        used: fc.nat(2),
        revokedAtMs: fc.constantFrom(0, NOW_MS),
        afterMs: fc.constantFrom(0, HOUR_MS - 1, HOUR_MS, HOUR_MS + 1),
      }),
      ({ used, revokedAtMs, afterMs }) => {
        const record = { ...create(), used, revokedAtMs };
        const nowMs = NOW_MS + afterMs;
        assert.equal(
          planTokenUse(record, { ...USE, nowMs }).kind === "planned",
          tokenState(record, nowMs) === "usable",
        );
      },
    ),
    { numRuns: 100, seed: 14 },
  );
});

Deno.test("forgottenTokens() are those that ended a week ago", () => {
  const endMs = NOW_MS + HOUR_MS;
  const expired = create();
  const revoked = { ...create(), revokedAtMs: NOW_MS };
  const rows = [
    [NOW_MS + KEPT_TOKEN_MS - 1, []],
    [NOW_MS + KEPT_TOKEN_MS, [revoked]],
    [endMs + KEPT_TOKEN_MS, [expired, revoked]],
  ] as const;
  for (const [nowMs, forgotten] of rows) {
    assert.deepEqual(forgottenTokens([expired, revoked], nowMs), forgotten);
  }
});
