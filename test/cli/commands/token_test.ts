import assert from "node:assert/strict";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { NetError } from "../../../src/base/error.ts";
import {
  Role,
  TokenState,
} from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const SECRET = `stn1.${"a".repeat(43)}.0123456789ab.${"b".repeat(43)}.c-d_e0`;
const HOUR_MS = 3_600_000;

/** A registry that makes tokens, and keeps what it was asked for. */
function createTokens() {
  const asked: unknown[] = [];
  const identity: Handlers["identity"] = {
    createToken: ({ role, name, lifetime, maxUses }) => {
      asked.push([role, name, durationMs(lifetime!), maxUses]);
      return {
        secret: SECRET,
        token: {
          id: "0123456789ab",
          role,
          name,
          createdAt: timestampFromMs(NOW_MS),
          expiresAt: timestampFromMs(NOW_MS + HOUR_MS),
          maxUses,
          state: TokenState.USABLE,
        },
      };
    },
  };
  return { asked, identity };
}

const KEEP =
  "The token is a secret and is not shown again: put it into a file with mode 0600\n";

Deno.test("token create prints the secret alone on stdout, and what is next on stderr", async (t) => {
  const rows: readonly [
    args: string,
    asked: readonly unknown[],
    stderr: string,
  ][] = [
    [
      "",
      [Role.NODE, "", HOUR_MS, 1],
      "Join with it, on the new host: stellar-net agent --listen ADDR:PORT --join https://HOST:PORT --token-file FILE\n",
    ],
    [
      " --name n2 --lifetime 10m --uses 3",
      [Role.NODE, "n2", 600_000, 3],
      "Join with it, on host n2: stellar-net agent --listen ADDR:PORT --join https://HOST:PORT --token-file FILE --node n2\n",
    ],
    [
      " --role operator --name alice",
      [Role.OPERATOR, "alice", HOUR_MS, 1],
      "Create an identity with it: stellar-net identity create DIR --join https://HOST:PORT --token-file FILE --name alice\n",
    ],
    [
      " --role readonly --name bob",
      [Role.READONLY, "bob", HOUR_MS, 1],
      "Create an identity with it: stellar-net identity create DIR --join https://HOST:PORT --token-file FILE --name bob\n",
    ],
  ];
  for (const [args, request, stderr] of rows) {
    await t.step(`token create${args}`, async () => {
      const { asked, identity } = createTokens();
      const run = await runFake(`token create${args}`.split(" "), { identity });
      assert.deepEqual([run.code, run.stdout, run.stderr], [
        0,
        `${SECRET}\n`,
        KEEP + stderr,
      ]);
      assert.deepEqual(asked, [request]);
    });
  }
});

Deno.test("token create writes the secret to a file, and shows it nowhere else", async (t) => {
  const { identity } = createTokens();
  for (const json of [false, true]) {
    await t.step(json ? "--json" : "text", async () => {
      const args = ["token", "create", "--file", "/root/t"]
        .concat(json ? ["--json"] : []);
      const run = await runFake(args, { identity });
      const text = new TextDecoder().decode(run.written.get("/root/t"));
      assert.equal(text, `${SECRET}\n`);
      assert.ok(!(run.stdout + run.stderr).includes("stn1"), run.stdout);
      assert.match(run.stderr, /--token-file \/root\/t\n$/);
      assert.match(run.stdout, /0123456789ab/);
    });
  }
});

Deno.test("token create revokes a token that it cannot write", async (t) => {
  const writeError = new NetError("unavailable", 'Cannot write "/x/t": full');
  const args = ["token", "create", "--file", "/x/t"];
  for (const isReached of [true, false]) {
    await t.step(`the agent is reached: ${isReached}`, async () => {
      const revoked: string[] = [];
      const { identity } = createTokens();
      const revokeToken = ({ id }: { readonly id: string }) => {
        if (!isReached) throw new ConnectError("gone", Code.Unavailable);
        revoked.push(id);
        return {};
      };
      const run = await runFake(args, {
        identity: { ...identity, revokeToken },
        writeError,
      });
      assert.equal(run.code, 1);
      assert.match(run.stderr, /Cannot write "\/x\/t": full/);
      assert.deepEqual(revoked, isReached ? ["0123456789ab"] : []);
      assert.equal(
        run.stderr.includes("stellar-net token revoke 0123456789ab"),
        !isReached,
      );
      assert.ok(!(run.stdout + run.stderr).includes("stn1"));
    });
  }
});

Deno.test("token create prints an object for programs", async () => {
  const { identity } = createTokens();
  const run = await runFake(["token", "create", "--json"], { identity });
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    token: SECRET,
    id: "0123456789ab",
    role: "node",
    name: null,
    state: "usable",
    createdAt: "2026-01-02T03:04:05.000Z",
    expiresAt: "2026-01-02T04:04:05.000Z",
    maxUses: 1,
    used: 0,
    uses: [],
  });
});

Deno.test("token list prints a row for each token", async () => {
  const usedAt = timestampFromMs(NOW_MS);
  const expiresAt = timestampFromMs(NOW_MS + HOUR_MS);
  const identity: Handlers["identity"] = {
    listTokens: () => ({
      tokens: [
        {
          ...{ id: "0123456789ab", role: Role.NODE, maxUses: 3, used: 2 },
          ...{ expiresAt, state: TokenState.USABLE },
          uses: [{ name: "n1", usedAt }, { name: "n2", usedAt }],
        },
        {
          ...{ id: "ba9876543210", role: Role.OPERATOR, name: "alice" },
          ...{ maxUses: 1, used: 0, expiresAt, state: TokenState.USED_UP },
        },
      ],
    }),
  };
  const run = await runFake(["token", "list"], { identity });
  assert.equal(
    run.stdout,
    `\
ID            ROLE      NAME   STATE    USED    EXPIRES               LAST
0123456789ab  node      any    usable   2 of 3  2026-01-02 04:04:05Z  n2
ba9876543210  operator  alice  used up  0 of 1  2026-01-02 04:04:05Z  -
`,
  );
});

Deno.test("token revoke names the token, and never quotes a whole one", async (t) => {
  await t.step("by its id", async () => {
    const asked: string[] = [];
    const run = await runFake(["token", "revoke", "0123456789ab"], {
      identity: {
        revokeToken: ({ id }) => {
          asked.push(id);
          return { token: { id } };
        },
      },
    });
    assert.deepEqual([run.code, asked], [0, ["0123456789ab"]]);
    assert.equal(run.stdout, "Revoked token 0123456789ab\n");
  });
  const wrong: readonly (readonly string[])[] = [
    ["token", "revoke", SECRET],
    ["token", SECRET],
    [SECRET],
    ["status", "--socket", SECRET],
    ["status", "--url", SECRET],
    ["identity", "create", "d", "--join", SECRET],
    ["identity", "create", "d", `--name=${SECRET}`],
  ];
  for (const args of wrong) {
    await t.step(args.slice(0, -1).join(" "), async () => {
      const run = await runFake(args);
      assert.equal(run.code, 2);
      assert.ok(!(run.stdout + run.stderr).includes("bbbb"), run.stderr);
    });
  }
});

Deno.test("token create requires --name for an operator's token", async () => {
  const { asked, identity } = createTokens();
  for (const role of ["operator", "readonly"]) {
    const args = ["token", "create", "--role", role];
    const { code, stderr } = await runFake(args, { identity });
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`--role ${role} needs --name`));
  }
  assert.deepEqual(asked, []);
});
