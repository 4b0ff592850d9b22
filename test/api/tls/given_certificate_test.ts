import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { TlsPaths } from "../../../src/config/config.ts";
import type {
  Recognition,
  ShownCertificate,
} from "../../../src/api/tls/credentials.ts";
import { GivenCertificate } from "../../../src/api/tls/given_certificate.ts";
import { run } from "../../support/run.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import {
  type IssueOptions,
  TestAuthority,
} from "../../support/test_authority.ts";

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
    "an invalid authority",
    ({ certPath, caPath }) => Deno.copyFile(certPath, caPath),
    /ca.pem": the certificate of "OU=node, CN=host" in it is not that of an authority/,
  ],
];

Deno.test("GivenCertificate refuses files that cannot be right, and keeps to those before", async (t) => {
  for (const [what, spoil, says] of BAD) {
    await t.step(what, () =>
      withTempDir(async (dir) => {
        const authority = await TestAuthority.create(dir);
        const paths = await authority.issue("host");
        const identity = await GivenCertificate.open(paths);
        const before = identity.material;
        await spoil(paths, authority);
        await assert.rejects(GivenCertificate.open(paths), {
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

Deno.test("GivenCertificate warns of a certificate that others do not accept, or soon will not", async (t) => {
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
        const found = (await GivenCertificate.open(paths)).warnings(atMs);
        assert.equal(found.length, warnings.length, found.join());
        warnings.forEach((says, i) => assert.match(found[i]!, says));
      });
    }
  });
});

Deno.test("GivenCertificate takes certificates that are made as docs/security.md says", () =>
  withTempDir(async (dir) => {
    const page = await Deno.readTextFile(
      new URL("../../../docs/security.md", import.meta.url),
    );
    const blocks = [
      ...page.matchAll(/^```sh\n(openssl [^]*?)^stellar-net .*\n```$/gm),
    ];
    assert.equal(blocks.length, 1);
    for (const [, script] of blocks) {
      const { code, stderr } = await run("sh", ["-ec", script!], { cwd: dir });
      assert.equal(code, 0, stderr);
    }
    const identity = await GivenCertificate.open({
      certPath: `${dir}/host1.pem`,
      keyPath: `${dir}/host1.key`,
      caPath: `${dir}/ca.pem`,
    }, { node: "host1" });
    assert.deepEqual(identity.warnings(Date.now()), []);
  }));

Deno.test("GivenCertificate notifies its listeners of changes, and of nothing else", () =>
  withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const identity = await GivenCertificate.open(await authority.issue("host"));
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

/** Subjects, and the identities in them. */
const SUBJECTS: readonly [
  what: string,
  options: IssueOptions,
  expected: string,
][] = [
  ["a node", {}, "node host"],
  ["an operator", { subject: "/OU=operator/CN=alice" }, "operator alice"],
  [
    "one of several units",
    { subject: "/O=example/OU=edge/OU=readonly/CN=grafana" },
    "readonly grafana",
  ],
  [
    "a URI before the subject",
    {
      subject: "/OU=operator/CN=alice",
      names: "URI:stellar-net://c1/node/host7,IP:127.0.0.1",
    },
    "node host7",
  ],
  [
    "another URI beside the subject",
    { names: "URI:spiffe://example/x,IP:127.0.0.1" },
    "node host",
  ],
  ["no role", { subject: "/CN=host" }, "names no role; give it the subject OU"],
  [
    "a role that there is not",
    { subject: "/OU=Node/CN=host" },
    "names no role; give it the subject OU",
  ],
  [
    "two roles",
    { subject: "/OU=node/OU=operator/CN=host" },
    "names node and operator; give it the subject OU",
  ],
  ["no name", { subject: "/OU=node" }, "has 0 common names; give it"],
  ["two names", { subject: "/OU=node/CN=a/CN=b" }, "has 2 common names"],
  [
    "an invalid name",
    { subject: "/OU=node/CN=a b" },
    'its name as node, "a b" is not valid',
  ],
  [
    "two URIs",
    { names: "URI:stellar-net://c1/node/a,URI:stellar-net://c1/node/b" },
    "it names several",
  ],
  [
    "an invalid URI",
    { names: "URI:stellar-net://c1/root/a" },
    '"root" is not a role',
  ],
];

async function show(
  { certPath }: TlsPaths,
  usage: "client" | "server" = "client",
): Promise<ShownCertificate> {
  const { raw } = new X509Certificate(await Deno.readTextFile(certPath));
  return { der: new Uint8Array(raw), isTrusted: true, usage };
}

function format(recognition: Recognition): string {
  if (recognition.kind === "refused") return recognition.why;
  const { role, name } = recognition.identity;
  return `${role} ${name}`;
}

Deno.test("GivenCertificate recognises others by the names in their certificates", async (t) => {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const identity = await GivenCertificate.open(await authority.issue("own"));
    for (const [what, options, expected] of SUBJECTS) {
      await t.step(what, async () => {
        const shown = await show(await authority.issue("host", options));
        const said = format(identity.recognize(shown));
        assert.ok(said.includes(expected), said);
      });
    }
    const node = await authority.issue("host2");
    const subject = "/OU=operator/CN=alice";
    const alice = await authority.issue("alice", { subject });
    await t.step("as a server, a node alone", async () => {
      const server = identity.recognize(await show(node, "server"));
      assert.equal(format(server), "node host2");
      const other = identity.recognize(await show(alice, "server"));
      assert.match(format(other), /"alice" as an agent: a node's certificate/);
    });
    await t.step("nobody that TLS does not trust", async () => {
      const shown = { ...await show(node), isTrusted: false };
      assert.match(
        format(identity.recognize(shown)),
        /certificate of node "host2": it is not valid now, or not signed by/,
      );
    });
    await t.step("nobody whose name was revoked", async () => {
      let changes = 0;
      identity.onChange(() => changes++);
      const nowMs = Date.now();
      const revoked = {
        role: "node",
        name: "host2",
        reason: "removed",
      } as const;
      const times = { revokedAtMs: nowMs, issuedUpToMs: nowMs, untilMs: nowMs };
      const revocations = [{ kind: "name", ...revoked, ...times }] as const;
      identity.takeTrust({ authorities: [], revocations });
      identity.takeTrust({ authorities: [], revocations });
      assert.equal(changes, 1);
      const why = format(identity.recognize(await show(node)));
      assert.match(why, /node "host2": it was revoked at \S+Z, "removed"$/);
      const other = format(identity.recognize(await show(alice)));
      assert.equal(other, "operator alice");
    });
  });
});

Deno.test("GivenCertificate warns of a certificate for another host", async (t) => {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const rows: readonly [subject: string, says: RegExp][] = [
      ["/OU=node/CN=host2", /it is for node "host2", and this is node "host1"/],
      ["/OU=operator/CN=host1", /it is for operator "host1", and this is node/],
      ["/CN=host1", /its subject names no role; give it the subject OU=node/],
    ];
    for (const [subject, says] of rows) {
      await t.step(subject, async () => {
        const paths = await authority.issue("host1", { subject });
        const identity = await GivenCertificate.open(paths, { node: "host1" });
        const warnings = identity.warnings(Date.now());
        assert.equal(warnings.length, 1);
        assert.match(warnings[0]!, /^no other host accepts the certificate in/);
        assert.match(warnings[0]!, says);
      });
    }
  });
});
