import assert from "node:assert/strict";
import { recognizePeer } from "../../src/security/node_recognition.ts";
import {
  createIdentity,
  createTestAuthority,
  NOW_MS,
} from "./pki/identities.ts";

/** As many as a certificate may be for: it has more than 1,024 bytes then. */
const ADDRESSES = Array.from({ length: 64 }, (_, i) => ({
  family: 6 as const,
  value: BigInt(i + 1) << 64n,
}));

Deno.test("recognizePeer() reads a large certificate only of its own authorities", async (t) => {
  const own = await createTestAuthority();
  const other = await createTestAuthority();
  const rows = [
    ["a large one", own, ADDRESSES, /^$/],
    ["a short one", own, [], /^$/],
    [
      "a large one of a stranger",
      other,
      ADDRESSES,
      /^Cannot tell whose certificate it is: it has \d{4} bytes, and no authority of this cluster has signed it$/,
    ],
    [
      "a short one of a stranger",
      other,
      [],
      /^Cannot accept the certificate of node "n1": authority 1 of this cluster has not signed it$/,
    ],
  ] as const;
  const { privateKey: _, ...trusted } = own.record;
  const trust = { authorities: [trusted], revocations: [] };
  for (const [what, authority, addresses, why] of rows) {
    await t.step(what, async () => {
      const { der } = await createIdentity(authority, { addresses });
      for (const usage of ["client", "server"] as const) {
        const found = recognizePeer({ der, usage }, { trust, nowMs: NOW_MS });
        assert.match(found.kind === "member" ? "" : found.why, why);
      }
    });
  }
  await t.step("what is none", () => {
    const der = new Uint8Array(16_384);
    const found = recognizePeer(
      { der, usage: "client" },
      { trust, nowMs: NOW_MS },
    );
    assert.equal(found.kind, "refused");
  });
});
