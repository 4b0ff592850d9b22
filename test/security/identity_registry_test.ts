import assert from "node:assert/strict";
import { createKey } from "../../src/security/pki/key.ts";
import { HOUR_MS } from "./pki/identities.ts";
import { type TestMember, testRegistry } from "./registries.ts";

const DAY_MS = 24 * HOUR_MS;

testRegistry(
  "revokes what a name has so far, and certifies it again a second later",
  async (t) => {
    const first = await t.join(await t.token());
    const revoked = await t.registry.revoke(
      { role: "node", name: "n1" },
      "lost",
    );
    assert.equal(revoked.certificates, 1);
    assert.equal(revoked.revocation.reason, "lost");
    const secret = await t.token();
    await assert.rejects(t.join(secret), {
      code: "unavailable",
      message: /; try again in a second$/,
    });
    t.clock.nowMs += 1000;
    const second = await t.join(secret);
    const listed = await t.registry.listCertificates();
    assert.deepEqual(
      listed.map(({ serial, isRevoked }) => [serial, isRevoked]),
      [[second.identity.serial, false], [first.identity.serial, true]],
    );
  },
);

testRegistry(
  "admits a revoked host with no used-up token",
  async (t) => {
    const targets = [
      () => ({ role: "node", name: "n1" } as const),
      ({ identity: { serial } }: TestMember) => ({ serial }),
    ];
    for (const targetOf of targets) {
      const secret = await t.token();
      const key = createKey();
      const joined = await t.join(secret, { key });
      // Its answer may have been lost.
      await t.join(secret, { key });
      await t.registry.revoke(targetOf(joined), "lost");
      t.clock.nowMs += 1000;
      await assert.rejects(t.join(secret, { key }), {
        code: "permission_denied",
        message: /it was good for one use and has had it/,
      });
      await t.registry.revoke({ role: "node", name: "n1" }, "");
      t.clock.nowMs += 1000;
    }
  },
);

testRegistry("revokes one certificate, once, and knows no other", async (t) => {
  const { identity: { serial } } = await t.join(await t.token());
  const once = await t.registry.revoke({ serial }, "lost");
  t.clock.nowMs += 1000;
  assert.deepEqual(await t.registry.revoke({ serial }, "again"), once);
  await assert.rejects(t.registry.revoke({ serial: "00ff" }, ""), {
    code: "not_found",
    message: /knows none with that serial number/,
  });
});

testRegistry(
  "revokes a name of which it knows no certificate: a backup may have been restored",
  async (t) => {
    const target = { role: "operator", name: "mallory" } as const;
    const { revocation, certificates } = await t.registry.revoke(target, "");
    assert.equal(certificates, 0);
    assert.equal(revocation.untilMs, t.clock.nowMs + 30 * DAY_MS);
  },
);

testRegistry(
  "keeps a revocation as long as it is needed, and no longer",
  async (t) => {
    await t.registry.revoke({ role: "node", name: "n1" }, "");
    t.clock.nowMs += 31 * DAY_MS - 1;
    await t.registry.tidy();
    assert.equal((await t.registry.trust()).revocations.length, 1);
    t.clock.nowMs++;
    assert.equal(t.registry.knownTrust.revocations.length, 0);
    await t.registry.tidy();
    const left = [];
    for await (const e of t.store.list(["identity", "trust", "revocation"])) {
      left.push(e);
    }
    assert.deepEqual(left, []);
  },
);

testRegistry(
  "shows that a token names an authority that signs no more",
  async (t) => {
    await t.token();
    await t.registry.rotate({ announceMs: 1000 });
    const states = async () =>
      (await t.registry.listTokens()).map(({ state }) => state);
    assert.deepEqual(await states(), ["usable"]);
    t.clock.nowMs += 1000;
    await t.token();
    assert.deepEqual(await states(), ["usable", "superseded"]);
  },
);

testRegistry(
  "refuses a rotation with bad times, naming the field",
  async (t) => {
    const { registry } = t;
    const rows = [
      [{ announceMs: -1 }, /"announce"/],
      [{ announceMs: 367 * DAY_MS }, /"announce"/],
      [{ announceMs: NaN }, /"announce"/],
      [{ overlapMs: 30 * DAY_MS - 1 }, /"overlap" .* has to be 2592000 s to/],
      [{ overlapMs: 367 * DAY_MS }, /"overlap"/],
      [{ isCompromised: true, announceMs: 0 }, /"announce" is set/],
      [{ isCompromised: true, overlapMs: 0 }, /"overlap" is set/],
    ] as const;
    for (const [options, message] of rows) {
      await assert.rejects(registry.rotate(options), {
        code: "invalid_argument",
        message,
      });
    }
  },
);

testRegistry(
  "gives up the key of an authority that another has taken over from",
  async (t) => {
    await t.registry.rotate({ announceMs: 0 });
    const keys = async () => {
      const lengths = [];
      for await (const e of t.store.list(["identity", "trust", "authority"])) {
        lengths.push((e.value as { privateKey: string }).privateKey.length > 0);
      }
      return lengths;
    };
    await t.registry.tidy();
    assert.deepEqual(await keys(), [true, true]);
    t.clock.nowMs += 5 * 60_000;
    await t.registry.tidy();
    assert.deepEqual(await keys(), [false, true]);
  },
);

testRegistry(
  "replaces a compromised authority: nothing that it signed holds",
  async (t) => {
    const secret = await t.token({ maxUses: 2 });
    await t.join(secret);
    await t.registry.rotate();
    const next = await t.registry.rotate({ isCompromised: true });
    const { authorities } = await t.registry.trust();
    assert.deepEqual(authorities, [next]);
    assert.equal(next.generation, 3);
    const [listed] = await t.registry.listCertificates();
    assert.equal(listed!.isRevoked, true);
    await assert.rejects(t.join(secret, { name: "n2" }), {
      code: "permission_denied",
      message: /the authority that it names is not trusted any more/,
    });
    const joined = await t.join(await t.token(), { name: "n2" });
    assert.equal(joined.identity.generation, 3);
  },
);

testRegistry(
  "tells of a damaged record where it is, and nothing of what it holds",
  async (t) => {
    const key = ["identity", "trust", "authority", 1];
    await t.store.commit({ puts: [{ key, value: { privateKey: "secret" } }] });
    await assert.rejects(t.token(), (error: Error) => {
      assert.match(error.message, /\["identity","trust","authority",1\]/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  },
);

testRegistry(
  "removes at most 200 expired records in one commit, and all in the end",
  async (t) => {
    await Promise.all(Array.from({ length: 250 }, () => t.token()));
    t.clock.nowMs += 8 * DAY_MS;
    const sizes: number[] = [];
    const commit = t.store.commit.bind(t.store);
    t.store.commit = (writes) => {
      sizes.push(writes.deletes?.length ?? 0);
      return commit(writes);
    };
    await t.registry.tidy();
    assert.deepEqual(sizes, [200, 50]);
    assert.deepEqual(await t.registry.listTokens(), []);
  },
);
