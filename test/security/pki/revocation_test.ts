import assert from "node:assert/strict";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import {
  expiredRevocations,
  findRevocation,
  parseSerial,
  type RevocationRecord,
} from "../../../src/security/pki/revocation.ts";
import { createIdentity, createTestAuthority, NOW_MS } from "./identities.ts";

const BY_NAME: RevocationRecord = {
  kind: "name",
  role: "node",
  name: "n1",
  issuedUpToMs: NOW_MS,
  revokedAtMs: NOW_MS,
  reason: "",
  untilMs: NOW_MS + 10,
};

Deno.test("findRevocation() revokes a name up to a time", async (t) => {
  const { der } = createIdentity(await createTestAuthority());
  const identity = readIdentity(der);
  const rows: readonly [name: string, change: object, revoked: boolean][] = [
    ["signed at that time", {}, true],
    ["signed before", { issuedAtMs: NOW_MS - 1000 }, true],
    ["signed a second later", { issuedAtMs: NOW_MS + 1000 }, false],
    ["another name", { name: "n2" }, false],
    ["another role", { role: "operator" }, false],
  ];
  for (const [name, change, revoked] of rows) {
    await t.step(name, () => {
      const found = findRevocation([BY_NAME], { ...identity, ...change });
      assert.equal(found, revoked ? BY_NAME : undefined);
    });
  }
});

Deno.test("expiredRevocations() are those whose certificates have expired", () => {
  assert.deepEqual(expiredRevocations([BY_NAME], NOW_MS + 9), []);
  assert.deepEqual(expiredRevocations([BY_NAME], NOW_MS + 10), [BY_NAME]);
});

Deno.test("parseSerial() reads serials as openssl and lists print them", () => {
  assert.equal(parseSerial("0AFF"), "0aff");
  assert.equal(parseSerial("0a:ff"), "0aff");
  for (const text of ["", "a", "abc", "xx", "0a ff", "00".repeat(21)]) {
    assert.throws(() => parseSerial(text), { name: "RangeError" });
  }
});
