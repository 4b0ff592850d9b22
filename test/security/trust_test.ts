import assert from "node:assert/strict";
import process from "node:process";
import { recognizePeer } from "../../src/security/trust.ts";
import {
  createIdentity,
  createTestAuthority,
  NOW_MS,
} from "./pki/identities.ts";

/** As many as a certificate may have. */
const ADDRESSES = Array.from({ length: 64 }, (_, i) => ({
  family: 6 as const,
  value: BigInt(i + 1) << 64n,
}));
/** Time to refuse a stranger's certificate, in ms. Decoding all of it with pkijs took up to 300. */
const MAX_MS = 100;

Deno.test("recognizePeer() refuses a stranger's certificate, however large, in little time", async (t) => {
  const own = createTestAuthority();
  const other = createTestAuthority();
  const unsigned = /: authority 1 of this cluster has not signed it$/;
  const rows = [
    ["a large one", own, ADDRESSES, /^$/],
    ["a short one", own, [], /^$/],
    ["a large one of a stranger", other, ADDRESSES, unsigned],
    ["a short one of a stranger", other, [], unsigned],
  ] as const;
  const { privateKey: _, ...trusted } = own.record;
  const trust = { authorities: [trusted], revocations: [] };
  const recognize = (der: Uint8Array, usage: "client" | "server") => {
    const found = recognizePeer({ der, usage }, { trust, nowMs: NOW_MS });
    return found.kind === "member" ? "" : found.why;
  };
  for (const [what, authority, addresses, why] of rows) {
    await t.step(what, () => {
      for (const usage of ["client", "server"] as const) {
        const { der } = createIdentity(authority, { addresses });
        assert.match(recognize(der, usage), why);
      }
    });
  }
  const garbage: readonly (readonly [string, Uint8Array])[] = [
    ["zeros", new Uint8Array(16_384)],
    ["deep nesting", new Uint8Array(16_384).fill(0x30)],
    ["many elements", new Uint8Array(16_384).fill(0x05).fill(0, 1, 2)],
    ["more bytes than are read", new Uint8Array(16_385).fill(0x30)],
  ];
  for (const [what, der] of garbage) {
    await t.step(what, () => {
      const before = process.cpuUsage();
      assert.match(recognize(der, "client"), /^Cannot tell whose certificate/);
      const { user, system } = process.cpuUsage(before);
      assert.ok((user + system) / 1_000 < MAX_MS);
    });
  }
});
