import assert from "node:assert/strict";
import {
  authorityWarnings,
  readValidity,
} from "../../../src/security/pki/validity.ts";
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

Deno.test("authorityWarnings() warns in the last tenth of an authority's time, and 90 days at most", async (t) => {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const { certPath, caPath } = await authority.issue("host");
    const material = {
      cert: await Deno.readTextFile(certPath),
      ca: await Deno.readTextFile(caPath),
    };
    const { notBeforeMs, notAfterMs } = readValidity(material).authority!;
    const tenthMs = (notAfterMs - notBeforeMs) / 10;
    const warnings = (leftMs: number) =>
      authorityWarnings(material, {
        nowMs: notAfterMs - leftMs,
        wayOut: "replace it",
      });
    await t.step("its last tenth", () => {
      assert.deepEqual(warnings(tenthMs + 1), []);
      assert.match(warnings(tenthMs - 1).join(), /valid until .*: replace it$/);
    });
    await t.step("none", () => {
      const options = { nowMs: notAfterMs, wayOut: "" };
      assert.deepEqual(authorityWarnings(undefined, options), []);
    });
  });
});

Deno.test("authorityWarnings() says nothing a year before the end of an authority of ten", () =>
  withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir, "long", { days: 3_650 });
    const { certPath, caPath } = await authority.issue("host");
    const material = {
      cert: await Deno.readTextFile(certPath),
      ca: await Deno.readTextFile(caPath),
    };
    const { notAfterMs } = readValidity(material).authority!;
    const at = (days: number) =>
      authorityWarnings(material, {
        nowMs: notAfterMs - days * DAY_MS,
        wayOut: "",
      }).length;
    assert.deepEqual([at(300), at(91), at(89)], [0, 0, 1]);
  }));
