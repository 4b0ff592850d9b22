import assert from "node:assert/strict";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Role } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const DAY_MS = 86_400_000;
const ALICE = `\
  Role     operator
  Name     alice
  Cluster  cluster-1
  Serial   0a1b
  Issued   2026-01-01 03:04:05Z
  Expires  2026-01-31 03:04:05Z, in 29d 0h
  Agents   https://198.18.0.1:9000
`;

Deno.test("identity create, renew and show print the holder and the expiry", async (t) => {
  const url = "https://198.18.0.1:9000";
  const create = `identity create d --join ${url} --join https://h2:9000`;
  const order = {
    dir: "d",
    urls: [url, "https://h2:9000"],
    tokenPath: "t",
    name: "alice",
    timeoutMs: 10_000,
  };
  const rows: readonly [
    args: string,
    called: readonly unknown[],
    stdout: string,
  ][] = [
    [
      `${create} --token-file t --name alice`,
      ["create", order],
      `Created the identity in d:\n${ALICE}`,
    ],
    [
      `identity renew d --url ${url}`,
      ["renew", "d", { url, timeoutMs: 10_000 }],
      `Renewed the identity in d:\n${ALICE}`,
    ],
    ["identity show d", ["show", "d"], `Identity in d:\n${ALICE}`],
    ["identity show --identity e", ["show", "e"], `Identity in e:\n${ALICE}`],
    ["--identity e identity show", ["show", "e"], `Identity in e:\n${ALICE}`],
  ];
  for (const [args, called, stdout] of rows) {
    await t.step(args, async () => {
      const run = await runFake(args.split(" "));
      assert.deepEqual([run.code, run.stdout], [0, stdout], run.stderr);
      assert.deepEqual(run.identityCalls, [called]);
      assert.deepEqual(run.targets, []);
    });
  }
  await t.step("--json", async () => {
    const run = await runFake(["identity", "show", "d", "--json"]);
    assert.deepEqual(JSON.parse(run.stdout), {
      schemaVersion: 1,
      identity: {
        role: "operator",
        name: "alice",
        clusterId: "cluster-1",
        serial: "0a1b",
        issuedAt: "2026-01-01T03:04:05.000Z",
        notAfter: "2026-01-31T03:04:05.000Z",
        urls: [url],
      },
    });
  });
});

Deno.test("identity show says when an identity has expired", async (t) => {
  const rows: readonly [days: number, expires: string][] = [
    [28, "2026-01-31 03:04:05Z, in 1d 0h"],
    [29, "2026-01-31 03:04:05Z, it has expired"],
    [400, "2026-01-31 03:04:05Z, it has expired"],
  ];
  for (const [days, expires] of rows) {
    await t.step(`after ${days} days`, async () => {
      const nowMs = NOW_MS + days * DAY_MS;
      const run = await runFake(["identity", "show", "d"], { nowMs });
      assert.ok(run.stdout.includes(`  Expires  ${expires}\n`), run.stdout);
    });
  }
});

Deno.test("identity names missing arguments, with exit code 2", async (t) => {
  const join = "--join https://h1:9000";
  const rows: readonly [args: string, said: string][] = [
    ["create", "DIR"],
    ["create d", "it needs --join URL"],
    [`create d ${join}`, "it needs --token-file FILE"],
    [`create d ${join} --token-file t`, "it needs --name NAME"],
    [
      "create d --join http://127.0.0.1:9000 --token-file t --name a",
      '--join: "http://127.0.0.1:9000" is plain text',
    ],
    ["show", "it needs DIR, the folder of the identity"],
    ["renew", "it needs DIR, the folder of the identity"],
    ["revoke", "it needs NAME, for all of its certificates, or --serial"],
    ["revoke n1 --serial 0a1b", "it needs NAME"],
    [
      "rotate --compromised --announce 1h",
      "--announce does not go with --compromised",
    ],
  ];
  for (const [args, said] of rows) {
    await t.step(args, async () => {
      const run = await runFake(["identity", ...args.split(" ")]);
      assert.deepEqual([run.code, run.stdout], [2, ""]);
      assert.ok(run.stderr.includes(said), run.stderr);
      assert.deepEqual([...run.identityCalls, ...run.targets], []);
    });
  }
});

Deno.test("identity list prints a row for each certificate", async () => {
  const identity: Handlers["identity"] = {
    listCertificates: () => ({
      certificates: [{
        serial: "0a1b",
        role: Role.NODE,
        name: "n1",
        generation: 2,
        issuedAt: timestampFromMs(NOW_MS),
        notAfter: timestampFromMs(NOW_MS + DAY_MS),
        revoked: true,
      }],
    }),
  };
  const run = await runFake(["identity", "list"], { identity });
  assert.equal(
    run.stdout,
    `\
ROLE  NAME  SERIAL  ISSUED                EXPIRES               CA  STATE
node  n1    0a1b    2026-01-02 03:04:05Z  2026-01-03 03:04:05Z  2   revoked
`,
  );
});

Deno.test("identity revoke names a certificate, or all of a name", async (t) => {
  const rows: readonly [
    args: readonly string[],
    asked: readonly unknown[],
    stdout: string,
  ][] = [
    [
      ["n1"],
      ["", Role.NODE, "n1", ""],
      "Revoked the certificates of node n1 up to now: 2 had not expired\n",
    ],
    [
      ["alice", "--role", "operator", "--reason", "has left"],
      ["", Role.OPERATOR, "alice", "has left"],
      "Revoked the certificates of operator alice up to now: 2 had not expired\n",
    ],
    [
      ["--serial", "0A:1B"],
      ["0a1b", Role.UNSPECIFIED, "", ""],
      "Revoked certificate 0a1b\n",
    ],
  ];
  for (const [args, asked, stdout] of rows) {
    await t.step(args.join(" "), async () => {
      const requests: unknown[] = [];
      const run = await runFake(["identity", "revoke", ...args], {
        identity: {
          revokeCertificates: ({ serial, role, name, reason }) => {
            requests.push([serial, role, name, reason]);
            return { revocation: {}, certificates: 2 };
          },
        },
      });
      assert.deepEqual([run.code, run.stdout], [0, stdout]);
      assert.deepEqual(requests, [asked]);
    });
  }
});

Deno.test("identity revoke says when no certificate matches", async () => {
  const { code, stdout, stderr } = await runFake(
    ["identity", "revoke", "alice"],
    {
      identity: {
        revokeCertificates: () => ({ revocation: {}, certificates: 0 }),
      },
    },
  );
  assert.equal(code, 0);
  assert.match(stdout, /of node alice up to now: 0 /);
  assert.match(stderr, /check the name and --role with .* identity list/);
});

Deno.test("identity rotate prints the dates of the rotation", async (t) => {
  const fingerprint = `sha256:${"0".repeat(64)}`;
  const asked: unknown[] = [];
  const identity: Handlers["identity"] = {
    rotateAuthority: ({ announce, overlap, compromised }) => {
      asked.push([
        announce && durationMs(announce),
        overlap && durationMs(overlap),
        compromised,
      ]);
      const signsFrom = timestampFromMs(NOW_MS + 600_000);
      return { next: { generation: 2, fingerprint, signsFrom } };
    },
    getTrust: () => ({
      trust: {
        authorities: [
          { generation: 1, trustedUntil: timestampFromMs(NOW_MS + DAY_MS) },
          { generation: 2 },
        ],
      },
    }),
  };
  await t.step("in its time", async () => {
    const run = await runFake(["identity", "rotate"], { identity });
    assert.equal(
      run.stdout,
      `\
Created CA 2, ${fingerprint}:
  2026-01-02 03:04:05Z  hosts learn of it, and trust it from now on
  2026-01-02 03:14:05Z  it signs, and hosts renew their certificates by themselves; older tokens admit nobody
  2026-01-03 03:04:05Z  certificates of CA 1 are no longer valid
`,
    );
  });
  await t.step("with times", async () => {
    const args = ["--announce", "1h", "--overlap", "2d"];
    await runFake(["identity", "rotate", ...args], { identity });
  });
  await t.step("at once", async () => {
    const args = ["identity", "rotate", "--compromised"];
    const run = await runFake(args, { identity });
    assert.equal(
      run.stdout,
      `Created CA 2, ${fingerprint}: it signs now, and nothing signed before is valid\n`,
    );
  });
  assert.deepEqual(asked, [
    [undefined, undefined, false],
    [3_600_000, 2 * DAY_MS, false],
    [undefined, undefined, true],
  ]);
});
