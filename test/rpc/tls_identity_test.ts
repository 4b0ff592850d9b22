import assert from "node:assert/strict";
import type { TlsPaths } from "../../src/agent/config.ts";
import { TlsIdentity } from "../../src/rpc/tls_identity.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { TestAuthority } from "../support/test_authority.ts";

const DAY_MS = 86_400_000;

/** What makes files that cannot be right out of good ones, and what is said about it. */
const BAD: readonly [
  what: string,
  spoil: (paths: TlsPaths, authority: TestAuthority) => Promise<unknown>,
  says: RegExp,
][] = [
  [
    "no certificate",
    ({ certPath }) => Deno.remove(certPath),
    /host.pem": there is no such file; look at --tls-cert/,
  ],
  [
    "an empty certificate",
    ({ certPath }) => Deno.writeTextFile(certPath, ""),
    /host.pem": it has no certificate in PEM; look at --tls-cert/,
  ],
  [
    "a damaged certificate",
    ({ certPath }) =>
      Deno.writeTextFile(
        certPath,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      ),
    /host.pem": a certificate in it is damaged; look at --tls-cert/,
  ],
  [
    "no key",
    ({ keyPath }) => Deno.writeTextFile(keyPath, "x"),
    /host.key": it has no key in PEM without a passphrase; look at --tls-key/,
  ],
  [
    "another's key",
    async ({ keyPath }, authority) =>
      Deno.copyFile((await authority.issue("other")).keyPath, keyPath),
    /host.key": it is not the key of the certificate in ".*host.pem"/,
  ],
  [
    "an authority that is none",
    ({ certPath, caPath }) => Deno.copyFile(certPath, caPath),
    /ca.pem": the certificate of "CN=host" in it is not that of an authority/,
  ],
];

Deno.test("TlsIdentity refuses files that cannot be right, and keeps to those before", async (t) => {
  for (const [what, spoil, says] of BAD) {
    await t.step(what, () =>
      withTempDir(async (dir) => {
        const authority = await TestAuthority.create(dir);
        const paths = await authority.issue("host");
        const identity = await TlsIdentity.open(paths);
        const before = identity.material;
        await spoil(paths, authority);
        await assert.rejects(TlsIdentity.open(paths), {
          name: "NetError",
          code: "failed_precondition",
          message: says,
        });
        await identity.reload();
        assert.equal(identity.material, before);
        const [warning] = identity.warnings(Date.now());
        assert.match(warning!, says);
        assert.match(warning!, /that was there before stays in use$/);

        const renewed = await TestAuthority.create(dir);
        await renewed.issue("host");
        await identity.reload();
        assert.deepEqual(identity.warnings(Date.now()), []);
        assert.notEqual(identity.material, before);
      }));
  }
});

Deno.test("TlsIdentity warns of a certificate that others do not accept, or soon will not", async (t) => {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const other = await TestAuthority.create(dir, "other");
    const good = await authority.issue("good");
    const foreign = await other.issue("foreign");
    const self = await authority.issue("self", { isSelfSigned: true });
    const now = Date.now();
    const rows: readonly [
      what: string,
      paths: TlsPaths,
      atMs: number,
      warnings: readonly RegExp[],
    ][] = [
      ["good", good, now, []],
      ["early", good, now - DAY_MS, [/good.pem": it is valid from .* clocks$/]],
      ["ending", good, now + 1.95 * DAY_MS, [
        /good.pem" is valid until .*Z only: /,
      ]],
      ["late", good, now + 3 * DAY_MS, [/good.pem": it was valid until .*Z: /]],
      [
        "foreign",
        { ...foreign, caPath: good.caPath },
        now,
        [/foreign.pem": "CN=other", which has signed it, is no authority/],
      ],
      [
        "self-signed",
        self,
        now,
        [/self.pem": it is signed by itself, not by an authority in --tls-ca/],
      ],
    ];
    for (const [what, paths, atMs, warnings] of rows) {
      await t.step(what, async () => {
        const found = (await TlsIdentity.open(paths)).warnings(atMs);
        assert.equal(found.length, warnings.length, found.join());
        warnings.forEach((says, i) => assert.match(found[i]!, says));
      });
    }
  });
});

Deno.test("TlsIdentity takes certificates that are made as docs/security.md says", () =>
  withTempDir(async (dir) => {
    const page = await Deno.readTextFile(
      new URL("../../docs/security.md", import.meta.url),
    );
    const blocks = [...page.matchAll(/^```sh\n(openssl [^]*?)^```$/gm)];
    assert.equal(blocks.length, 2);
    for (const [, script] of blocks) {
      const { code, stderr } = await run("sh", ["-ec", script!], { cwd: dir });
      assert.equal(code, 0, stderr);
    }
    const identity = await TlsIdentity.open({
      certPath: `${dir}/host1.pem`,
      keyPath: `${dir}/host1.key`,
      caPath: `${dir}/ca.pem`,
    });
    assert.deepEqual(identity.warnings(Date.now()), []);
  }));

Deno.test("TlsIdentity tells of changes to those who follow, and of nothing else", () =>
  withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const identity = await TlsIdentity.open(await authority.issue("host"));
    let changes = 0;
    const stop = identity.onChange(() => changes++);
    await identity.reload();
    assert.equal(changes, 0);
    await authority.issue("host");
    await identity.reload();
    assert.equal(changes, 1);
    stop();
    await authority.issue("host");
    await identity.reload();
    assert.equal(changes, 1);
  }));
