import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type AuthorityRecord,
  openAuthority,
} from "../../../src/security/pki/authority.ts";
import { publicPart } from "../../../src/security/pki/generations.ts";
import type { RevocationRecord } from "../../../src/security/pki/revocation.ts";
import {
  endorse,
  mergeTrust,
  signTrust,
  type TrustContent,
} from "../../../src/security/pki/signed_trust.ts";
import { createTestAuthority, HOUR_MS, NOW_MS } from "./identities.ts";

const first = createTestAuthority().record;
const second = createTestAuthority({ generation: 2 }).record;
const third = createTestAuthority({ generation: 3 }).record;
const attacker = createTestAuthority({ generation: 2 }).record;
const elsewhere = createTestAuthority({ clusterId: "c2" }).record;
const SECOND_BY_FIRST = endorse(first, second);
const THIRD_BY_SECOND = endorse(second, third);

const withoutKey = (record: AuthorityRecord): AuthorityRecord => ({
  ...record,
  privateKey: "",
});
const revocation = (name: string, ms: number): RevocationRecord => ({
  ...{ kind: "name", role: "node", name, reason: "" },
  ...{ issuedUpToMs: ms, revokedAtMs: ms, untilMs: ms + 48 * HOUR_MS },
});
const known = (...records: AuthorityRecord[]): TrustContent => ({
  authorities: records.map(publicPart),
  revocations: [],
});
const offer = (
  records: AuthorityRecord[],
  endorsements = [SECOND_BY_FIRST, THIRD_BY_SECOND].slice(0, 0),
  revocations: RevocationRecord[] = [],
) => signTrust(records, { revocations, endorsements });
const generations = ({ authorities }: TrustContent) =>
  authorities.map(({ generation }) => generation);

Deno.test("mergeTrust() follows only authorities that are trusted", async (t) => {
  const rows: readonly [
    what: string,
    known: TrustContent,
    offered: ReturnType<typeof offer>,
    generations: readonly number[] | RegExp,
  ][] = [
    ["the same", known(first), offer([first]), [1]],
    ["both have keys", known(first), offer([first, second]), [1, 2]],
    [
      "the previous key is gone, and it endorsed the next",
      known(first),
      offer([withoutKey(first), second], [SECOND_BY_FIRST]),
      [1, 2],
    ],
    [
      "two rotations were missed",
      known(first),
      offer([withoutKey(second), third], [SECOND_BY_FIRST, THIRD_BY_SECOND]),
      [2, 3],
    ],
    ["an attacker's own", known(first), offer([attacker]), /has signed it/],
    [
      "an attacker's beside the true one",
      known(first),
      offer([withoutKey(first), attacker]),
      /has signed it/,
    ],
    [
      "an attacker's that its own key endorses",
      known(first),
      offer([withoutKey(first), attacker], [{
        ...endorse(attacker, attacker),
        by: 1,
      }]),
      /has signed it/,
    ],
    [
      "an attacker's with the endorsement of the true next",
      known(first),
      offer([withoutKey(first), attacker], [SECOND_BY_FIRST]),
      /has signed it/,
    ],
    [
      "an expired authority",
      { ...known(first), authorities: [{ ...first, trustedUntilMs: NOW_MS }] },
      offer([first, second]),
      /has signed it/,
    ],
    ["another cluster's", known(first), offer([elsewhere]), /has signed it/],
    [
      "another cluster's beside it",
      known(first),
      offer([first, { ...elsewhere, generation: 2 }]),
      /another cluster/,
    ],
    ["no signature", known(first), {
      ...offer([first]),
      signatures: [],
    }, /has signed it/],
    ["a changed statement", known(first), {
      ...offer([first, second]),
      statement: offer([first]).statement,
    }, /has signed it/],
    ["no JSON", known(first), { statement: "x", signatures: [] }, /Cannot/],
  ];
  for (const [what, own, offered, expected] of rows) {
    await t.step(what, () => {
      const merge = () => mergeTrust(own, offered, { nowMs: NOW_MS });
      if (expected instanceof RegExp) {
        assert.throws(merge, {
          name: "NetError",
          code: "unauthenticated",
          message: expected,
        });
      } else assert.deepEqual(generations(merge()), expected);
    });
  }
});

Deno.test("mergeTrust() starts from the authority of a token alone", () => {
  const { fingerprint } = second;
  const checks = { nowMs: NOW_MS, fingerprint };
  const trust = mergeTrust(known(elsewhere), offer([first, second]), checks);
  assert.deepEqual(generations(trust), [1, 2]);
  assert.throws(
    () => mergeTrust(known(attacker), offer([attacker]), checks),
    { code: "unauthenticated" },
  );
  // What a record says of its own fingerprint does not count.
  const statement = offer([attacker]).statement
    .replace(attacker.fingerprint, fingerprint);
  const signature = openAuthority(attacker).signer.signBytes(
    new TextEncoder().encode(`stellar-net trust v1\n${statement}`),
  );
  const posing = { statement, signatures: [{ generation: 2, signature }] };
  assert.throws(() => mergeTrust(known(), posing, checks), {
    code: "unauthenticated",
  });
});

Deno.test("mergeTrust() takes nothing back for an old statement that is sent again", () => {
  const lost = revocation("n1", NOW_MS);
  const shorter = { ...first, trustedUntilMs: NOW_MS + HOUR_MS };
  const now = mergeTrust(
    known(first),
    offer([shorter, second], [SECOND_BY_FIRST], [lost]),
    { nowMs: NOW_MS },
  );
  const old = offer([first], [], [revocation("n1", NOW_MS - HOUR_MS)]);
  assert.deepEqual(mergeTrust(now, old, { nowMs: NOW_MS }), now);
});

Deno.test("mergeTrust() forgets revocations that have expired", () => {
  const offered = offer([first], [], [revocation("n1", NOW_MS)]);
  const later = { nowMs: NOW_MS + 48 * HOUR_MS };
  assert.deepEqual(mergeTrust(known(first), offered, later).revocations, []);
});

Deno.test("mergeTrust() comes to the same, in whatever order statements come", () => {
  const statements = [
    offer([first]),
    offer([first, second], [SECOND_BY_FIRST]),
    offer([first], [], [revocation("n1", NOW_MS)]),
    offer([first], [], [
      revocation("n1", NOW_MS + 1),
      revocation("n2", NOW_MS),
    ]),
    offer([{ ...first, trustedUntilMs: NOW_MS + HOUR_MS }, second]),
  ];
  const sorted = ({ authorities, revocations }: TrustContent) => ({
    authorities,
    revocations: revocations.toSorted((a, b) =>
      JSON.stringify(a) < JSON.stringify(b) ? -1 : 1
    ),
  });
  const mergeAll = (order: readonly (typeof statements)[number][]) =>
    sorted(order.reduce<TrustContent>(
      (trust, next) => mergeTrust(trust, next, { nowMs: NOW_MS }),
      known(first),
    ));
  const expected = mergeAll(statements);
  fc.assert(
    fc.property(
      fc.shuffledSubarray(statements, { minLength: statements.length }),
      (order) => assert.deepEqual(mergeAll(order), expected),
    ),
    { numRuns: 60 },
  );
});
