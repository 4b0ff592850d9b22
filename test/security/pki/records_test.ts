import fc from "fast-check";
import assert from "node:assert/strict";
import { publicPart } from "../../../src/security/pki/generations.ts";
import {
  readAuthorityRecord,
  readIssuedRecord,
  readRevocationRecord,
  readTokenRecord,
  readTrustRecord,
} from "../../../src/security/pki/records.ts";
import { createToken } from "../../../src/security/pki/token.ts";
import { createVerifier } from "../../../src/security/pki/token_proof.ts";
import {
  planTokenCreate,
  planTokenUse,
} from "../../../src/security/pki/token_record.ts";
import {
  createIdentity,
  createTestAuthority,
  HOUR_MS,
  NOW_MS,
} from "./identities.ts";

type Row = readonly [
  name: string,
  read: (value: unknown) => unknown,
  record: object,
];

/** A record of each kind, as it is written. */
function writtenRecords(): Row[] {
  const authority = createTestAuthority();
  const { record: issued } = createIdentity(authority);
  const { fingerprint } = authority.record;
  const token = createToken(fingerprint);
  const created = planTokenCreate(
    { role: "node", name: "n1", lifetimeMs: HOUR_MS, maxUses: 3 },
    {
      id: token.id,
      verifier: createVerifier(token),
      fingerprint,
      nowMs: NOW_MS,
    },
  );
  assert.ok(created.kind === "planned");
  const used = planTokenUse(created.answer, {
    isProven: true,
    name: "n1",
    keyFingerprint: issued.keyFingerprint,
    nowMs: NOW_MS,
  });
  assert.ok(used.kind === "planned");
  const revoked = { revokedAtMs: NOW_MS, reason: "lost", untilMs: NOW_MS };
  return [
    ["authority", readAuthorityRecord, authority.record],
    ["authority without key", readAuthorityRecord, {
      ...authority.record,
      privateKey: "",
    }],
    ["trust", readTrustRecord, publicPart(authority.record)],
    ["issued", readIssuedRecord, issued],
    ["serial", readRevocationRecord, {
      kind: "serial",
      serial: issued.serial,
      ...revoked,
    }],
    ["name", readRevocationRecord, {
      kind: "name",
      role: "node",
      name: "n1",
      issuedUpToMs: NOW_MS,
      ...revoked,
    }],
    ["token", readTokenRecord, created.answer],
    ["used token", readTokenRecord, used.changes[0]!],
  ];
}

Deno.test("records are read back as they were written", async (t) => {
  for (const [name, read, record] of writtenRecords()) {
    await t.step(name, () => {
      assert.deepEqual(read(JSON.parse(JSON.stringify(record))), record);
    });
  }
});

Deno.test("records of which a field is missing, of another type or not known are refused", async (t) => {
  for (const [name, read, record] of writtenRecords()) {
    await t.step(name, () => {
      for (const key of Object.keys(record)) {
        const { [key]: _, ...rest } = record as Record<string, unknown>;
        const bad = [null, true, -1, 1.5, "\n", [1], {}, { [key]: 1 }];
        for (
          const value of [rest, ...bad.map((v) => ({ ...rest, [key]: v }))]
        ) {
          assert.throws(() => read(value), {
            name: "RangeError",
            message: new RegExp(`is not valid: field "${key}": `),
          }, `${key} as ${JSON.stringify(value)}`);
        }
      }
      assert.throws(() => read({ ...record, onlyFrom: "10.0.0.1" }), {
        name: "RangeError",
        message: /field "onlyFrom": it is not known to this version/,
      });
    });
  }
});

Deno.test("records that are no objects are refused", () => {
  for (const [, read] of writtenRecords()) {
    for (const value of [undefined, null, 1, "x", [], true]) {
      assert.throws(() => read(value), {
        name: "RangeError",
        message: /is not valid: it is not an object/,
      });
    }
  }
});

Deno.test("records of the wrong kind of values inside are refused", async (t) => {
  const records = new Map(
    (writtenRecords()).map(([name, read, record]) => [
      name,
      { read, record },
    ]),
  );
  const rows: readonly [name: string, change: object, field: string][] = [
    ["authority", { certificate: "x" }, "certificate"],
    ["authority", { privateKey: "x" }, "privateKey"],
    ["authority", { fingerprint: "sha256:00" }, "fingerprint"],
    ["authority", { generation: 0 }, "generation"],
    ["issued", { role: "root" }, "role"],
    ["issued", { serial: "zz" }, "serial"],
    ["issued", { name: "../x" }, "name"],
    ["name", { kind: "all" }, "kind"],
    ["token", { verifier: { salt: "AA", storedKey: "AA" } }, "verifier"],
    ["token", { verifier: { salt: "AA" } }, "verifier"],
    ["token", { id: "x" }, "id"],
    ["used token", { uses: [{ name: "n1" }] }, "uses"],
    ["used token", { uses: [null] }, "uses"],
  ];
  for (const [name, change, field] of rows) {
    await t.step(`${name}: ${JSON.stringify(change)}`, () => {
      const { read, record } = records.get(name)!;
      assert.throws(() => read({ ...record, ...change }), {
        name: "RangeError",
        message: new RegExp(`field "${field}": `),
      });
    });
  }
});

Deno.test("readers throw nothing but RangeError for any JSON, and quote no key", () => {
  const rows = writtenRecords();
  fc.assert(
    fc.property(
      fc.constantFrom(...rows),
      fc.dictionary(
        fc.constantFrom(
          ...rows.flatMap(([, , r]) => Object.keys(r)),
          "__proto__",
        ),
        fc.jsonValue({ maxDepth: 2 }),
      ),
      ([, read, record], change) => {
        try {
          read({ ...record, ...change });
        } catch (error) {
          assert.equal((error as Error).name, "RangeError");
          assert.ok(!(error as Error).message.includes("BEGIN PRIVATE"));
        }
      },
    ),
    { numRuns: 1500, seed: 15 },
  );
});
