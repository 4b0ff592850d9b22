import assert from "node:assert/strict";
import { parseAddress } from "../../src/net/address.ts";
import { createKey } from "../../src/security/pki/key.ts";
import { formatPem } from "../../src/security/pki/pem.ts";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";
import type { TokenTerms } from "../../src/security/pki/token_record.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { HOUR_MS } from "./pki/identities.ts";
import {
  member,
  SERVER,
  type TestJoin,
  TestRegistry,
  testRegistry,
} from "./registries.ts";

const DAY_MS = 24 * HOUR_MS;
const ADDRESS = parseAddress("198.18.0.2");

testRegistry(
  "certifies the holder of a token with the role of the token",
  async (t) => {
    const rows: readonly [Partial<TokenTerms>, TestJoin, number][] = [
      [{}, { name: "a", addresses: [ADDRESS] }, 24 * HOUR_MS],
      [{ name: "b" }, { name: "b" }, 24 * HOUR_MS],
      [{ role: "operator", name: "alice" }, { name: "alice" }, 30 * DAY_MS],
      [{ role: "readonly", name: "bob" }, { name: "bob" }, 30 * DAY_MS],
    ];
    for (const [terms, join, lifetimeMs] of rows) {
      const { identity, credentials } = await t.join(
        await t.token(terms),
        join,
      );
      assert.equal(identity.name, join.name);
      assert.equal(identity.role, terms.role ?? "node");
      assert.equal(identity.clusterId, "c1");
      assert.equal(identity.notAfterMs - t.clock.nowMs, lifetimeMs);
      assert.deepEqual(credentials.trust, await t.registry.trust());
    }
    const listed = await t.registry.listCertificates();
    assert.deepEqual(
      listed.map(({ role, name, isRevoked }) => [role, name, isRevoked]),
      [
        ["node", "a", false],
        ["node", "b", false],
        ["operator", "alice", false],
        ["readonly", "bob", false],
      ],
    );
  },
);

/** Refused hosts, and the reasons. Each row begins with the node n1, reached at ADDRESS. */
const REFUSED: readonly [
  what: string,
  attempt: (t: TestRegistry) => Promise<unknown>,
  code: string,
  message: RegExp,
][] = [
  [
    "a revoked token",
    async (t) => {
      const secret = await t.token();
      await t.registry.revokeToken(secret.split(".")[2]!);
      return await t.join(secret);
    },
    "permission_denied",
    /it was revoked at/,
  ],
  [
    "an expired token",
    async (t) => {
      const secret = await t.token();
      t.clock.nowMs += HOUR_MS;
      return await t.join(secret, { name: "n2" });
    },
    "permission_denied",
    /it expired at/,
  ],
  [
    "a token that is used up",
    async (t) => {
      const secret = await t.token();
      await t.join(secret, { name: "n2" });
      return await t.join(secret, { name: "n3" });
    },
    "permission_denied",
    /it was good for one use and has had it/,
  ],
  [
    "a token for another name",
    async (t) => await t.join(await t.token({ name: "n2" }), { name: "n3" }),
    "permission_denied",
    /it is for "n2", not "n3"/,
  ],
  [
    "a token of another cluster",
    async (t) => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        return await t.join(await (await TestRegistry.open(store)).token());
      } finally {
        await store.close();
      }
    },
    "unauthenticated",
    /none with its id and secret/,
  ],
  [
    "a proof that was changed",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      return await t.registry.finishJoin({ ...proof, name: "n3" });
    },
    "unauthenticated",
    /none with its id and secret/,
  ],
  [
    "a proof for another request than a damaged one, which is not read",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      const signingRequest = formatPem(
        "CERTIFICATE REQUEST",
        new Uint8Array(1000),
      );
      return await t.registry.finishJoin({ ...proof, signingRequest });
    },
    "unauthenticated",
    /the cluster has none with its id and secret/,
  ],
  [
    "a proof made for another server",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      const serverFingerprint = SERVER.replace(
        /.$/,
        (last) => last === "0" ? "1" : "0",
      );
      return await t.registry.finishJoin({ ...proof, serverFingerprint });
    },
    "unauthenticated",
    /none with its id and secret/,
  ],
  [
    "a proof made over a plain connection",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      return await t.registry.finishJoin({ ...proof, serverFingerprint: "" });
    },
    "failed_precondition",
    /it is plain text.*; join with https$/,
  ],
  [
    "a request for another key",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      const signingRequest = createSigningRequest(createKey());
      return await t.registry.finishJoin({ ...proof, signingRequest });
    },
    "unauthenticated",
    /none with its id and secret/,
  ],
  [
    "no request",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      return await t.registry.finishJoin({ ...proof, signingRequest: "" });
    },
    "invalid_argument",
    /^Invalid field "signing_request": /,
  ],
  [
    "a short nonce of the joining host",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      const clientNonce = new Uint8Array(3);
      return await t.registry.finishJoin({ ...proof, clientNonce });
    },
    "invalid_argument",
    /^Invalid field "client_nonce": it has 3 bytes, not 32$/,
  ],
  [
    "a proof that was used",
    async (t) => {
      const { proof } = await t.prove(await t.token({ maxUses: 2 }), {
        name: "n2",
      });
      await t.registry.finishJoin(proof);
      return await t.registry.finishJoin(proof);
    },
    "unavailable",
    /; begin again$/,
  ],
  [
    "a proof of a minute ago",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      t.clock.nowMs += 60_000;
      return await t.registry.finishJoin(proof);
    },
    "unavailable",
    /; begin again$/,
  ],
  [
    "a join that another agent has begun",
    async (t) => {
      const { proof } = await t.prove(await t.token(), { name: "n2" });
      return await (await t.another()).registry.finishJoin(proof);
    },
    "unavailable",
    /; begin again$/,
  ],
  [
    "the name of a node, with a token for any",
    async (t) => await t.join(await t.token(), { name: "n1" }),
    "permission_denied",
    /the cluster has a node of that name, and this token is for any/,
  ],
  [
    "the name of a node in another case, with a token for any",
    async (t) => await t.join(await t.token(), { name: "N1" }),
    "permission_denied",
    /the cluster has node "n1", which is the same name to TLS/,
  ],
  [
    "a name that another key has, with a token for any",
    async (t) => {
      const secret = await t.token({ maxUses: 2 });
      await t.join(secret, { name: "n2" });
      return await t.join(secret, { name: "n2" });
    },
    "permission_denied",
    /another key has a certificate of that name/,
  ],
  [
    "the address of another node",
    async (t) =>
      await t.join(await t.token(), { name: "n2", addresses: [ADDRESS] }),
    "permission_denied",
    /node "n1" is reached at 198\.18\.0\.2; give one of them another/,
  ],
  [
    "an operator with an address",
    async (t) =>
      await t.join(await t.token({ role: "operator", name: "alice" }), {
        name: "alice",
        addresses: [parseAddress("198.18.0.3")],
      }),
    "permission_denied",
    /it is for operator "alice", and a node joins/,
  ],
  [
    "an operator where a node joins",
    async (t) =>
      await t.join(await t.token({ role: "operator", name: "n9" }), {
        name: "n9",
        roles: ["node"],
      }),
    "permission_denied",
    /it is for operator "n9", and a node joins; create one with --role node/,
  ],
  [
    "a node where a person joins",
    async (t) =>
      await t.join(await t.token(), {
        name: "alice",
        roles: ["operator", "readonly"],
      }),
    "permission_denied",
    /it is for node "alice", and an operator or readonly joins; create one with --role operator/,
  ],
];

Deno.test("IdentityRegistry.finishJoin() refuses a host without changing its token", async (t) => {
  for (const [what, attempt, code, message] of REFUSED) {
    await t.step(what, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        const t = await TestRegistry.open(store);
        t.nodes.set("n1", ["198.18.0.2"]);
        const before = await usesAndCertificates(t);
        await assert.rejects(attempt(t), { name: "NetError", code, message });
        const after = await usesAndCertificates(t);
        assert.equal(after.uses - before.uses, after.issued - before.issued);
      } finally {
        await store.close();
      }
    });
  }
});

async function usesAndCertificates(
  { registry }: TestRegistry,
): Promise<{ readonly uses: number; readonly issued: number }> {
  const uses = (await registry.listTokens())
    .reduce((sum, { used }) => sum + used, 0);
  return { uses, issued: (await registry.listCertificates()).length };
}

testRegistry(
  "lets the same key in again under its name: its answer may have been lost",
  async (t) => {
    const secret = await t.token();
    const key = createKey();
    await t.join(secret, { key });
    t.nodes.set("n1", []);
    await t.join(secret, { key });
    assert.equal((await t.registry.listTokens())[0]!.used, 1);
  },
);

testRegistry(
  "lets a host take the name of a node over with a token for just that",
  async (t) => {
    t.nodes.set("n1", ["198.18.0.2"]);
    const secret = await t.token({ name: "n1" });
    const { identity } = await t.join(secret, { addresses: [ADDRESS] });
    assert.equal(identity.name, "n1");
  },
);

testRegistry("begins a join alike for a token that is not known", async (t) => {
  const known = (await t.token()).split(".")[2]!;
  for (const id of [known, "000000000000"]) {
    const first = await t.registry.beginJoin(id);
    const second = await t.registry.beginJoin(id);
    assert.match(first.salt, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(first.salt, second.salt);
    assert.equal(first.serverNonce.length, 32);
    assert.notDeepEqual(first.serverNonce, second.serverNonce);
  }
});

testRegistry(
  "signs for the node of its own agent without a token",
  async (t) => {
    const key = createKey();
    const own = member(
      key,
      await t.registry.signOwn({
        name: "host1",
        addresses: [ADDRESS],
        signingRequest: createSigningRequest(key),
      }),
    );
    assert.equal(own.identity.name, "host1");
    assert.equal(own.identity.role, "node");
  },
);
