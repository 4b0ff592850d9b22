import assert from "node:assert/strict";
import { signFile, verifyFile } from "../../src/security/file_signature.ts";
import { formatTrustFile } from "../../src/security/identity_state.ts";
import type { CertificateTerms } from "../../src/security/pki/certificate.ts";
import type { RevocationRecord } from "../../src/security/pki/revocation.ts";
import { MemoryIdentityFiles } from "./memory_identity_files.ts";
import {
  createIdentity,
  createTestAuthority,
  NOW_MS,
} from "./pki/identities.ts";
import { trustOf } from "./signed_trusts.ts";

const own = createTestAuthority();
const attacker = createTestAuthority();
const REVOKED: RevocationRecord = {
  ...{ kind: "name", role: "node", name: "n1", reason: "" },
  ...{ issuedUpToMs: NOW_MS, revokedAtMs: NOW_MS, untilMs: NOW_MS * 2 },
};

async function* file(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(new TextEncoder().encode(text));
}

/** The folder of an identity. */
async function folder(
  authority = own,
  terms: Partial<CertificateTerms> = {},
  revocations: RevocationRecord[] = [],
): Promise<MemoryIdentityFiles> {
  const { key, chain } = createIdentity(authority, terms);
  const files = new MemoryIdentityFiles();
  await files.write("key.pem", key);
  await files.write("chain.pem", chain);
  const trust = trustOf([authority.record], revocations);
  await files.write("trust.json", formatTrustFile({ trust, tokenId: "" }));
  return files;
}

Deno.test("verifyFile() names the signer of a file, and accepts no other file or signer", async (t) => {
  const rows: readonly [
    what: string,
    signer: Promise<MemoryIdentityFiles>,
    change: (signature: string) => string,
    text: string,
    says: RegExp | undefined,
  ][] = [
    ["a node", folder(), (s) => s, "backup", undefined],
    [
      "an operator",
      folder(own, { role: "operator", name: "alice" }),
      (s) => s,
      "backup",
      undefined,
    ],
    [
      "who may only read",
      folder(own, { role: "readonly", name: "bob" }),
      (s) => s,
      "backup",
      /it is by readonly "bob"/,
    ],
    [
      "another authority's",
      folder(attacker),
      (s) => s,
      "backup",
      /authority 1 of this cluster has not signed it/,
    ],
    ["another file", folder(), (s) => s, "backuP", /it is not the file that/],
    ["no signature", folder(), () => "", "backup", /Cannot trust the file/],
    [
      "another signature",
      folder(),
      (s) => s.replace(/"signature":".{9}/, `"signature":"AAAAAAAAA`),
      "backup",
      /it is not the file that|Cannot trust the file/,
    ],
  ];
  for (const [what, signer, change, text, says] of rows) {
    await t.step(what, async () => {
      const signature = change(await signFile(file("backup"), await signer));
      const verify = verifyFile(file(text), {
        text: signature,
        identity: await folder(),
      });
      if (says === undefined) assert.match((await verify).name, /n1|alice/);
      else {
        await assert.rejects(verify, {
          code: "unauthenticated",
          message: says,
        });
      }
    });
  }
  await t.step("a revoked node", async () => {
    const text = await signFile(file("backup"), await folder());
    const identity = await folder(own, {}, [REVOKED]);
    await assert.rejects(verifyFile(file("backup"), { text, identity }), {
      message: /was revoked/,
    });
  });
  await t.step("no identity to sign with", async () => {
    const files = new MemoryIdentityFiles();
    await assert.rejects(signFile(file("backup"), files), {
      code: "failed_precondition",
      message: /there is no identity in it/,
    });
    assert.equal(files.texts.size, 0);
  });
});
