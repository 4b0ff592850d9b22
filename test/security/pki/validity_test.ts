import assert from "node:assert/strict";
import { readValidity } from "../../../src/security/pki/validity.ts";
import { TestAuthority } from "../../support/test_authority.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

Deno.test("readValidity() tells when a certificate is valid, and the authority that signed it", () =>
  withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const other = await TestAuthority.create(dir, "other");
    const { certPath, caPath } = await authority.issue("host", { days: 1 });
    const cert = await Deno.readTextFile(certPath);
    const ca = await Deno.readTextFile(other.caPath) +
      await Deno.readTextFile(caPath);
    const { own, authority: signer } = readValidity({ cert, ca });
    const daysOf = (validity: typeof own) =>
      (validity!.notAfterMs - validity!.notBeforeMs) / DAY_MS;
    assert.equal(daysOf(own), 1);
    assert.equal(daysOf(signer), 2);
    assert.ok(Math.abs(Date.now() - own!.notBeforeMs) < 60_000);
    const foreign = await Deno.readTextFile(other.caPath);
    assert.deepEqual(readValidity({ cert, ca: foreign }), { own });
    assert.deepEqual(readValidity({ cert: "", ca }), {});
    const damaged = cert.replace(/\n.{10}/, "\nAAAAAAAAAA");
    assert.deepEqual(readValidity({ cert: damaged, ca }), {});
  }));
