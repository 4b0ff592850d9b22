import assert from "node:assert/strict";
import type { PeerIdentity } from "../../src/security/pki/identity.ts";
import { verifyPeer } from "../../src/security/pki/peer.ts";
import { parsePem } from "../../src/security/pki/pem.ts";
import type { Store } from "../../src/store/store.ts";
import { HOUR_MS } from "./pki/identities.ts";
import { waitFor } from "../support/wait_for.ts";
import { type TestMember, TestRegistry } from "./registries.ts";

const DAY_MS = 24 * HOUR_MS;

/** Opens an empty store. */
export type OpenStore = () => Promise<Store>;

/** Registers what has to hold of the authority on every kind of store. */
export function testIdentities(engine: string, open: OpenStore): void {
  const test = (name: string, body: (t: TestRegistry) => Promise<void>) =>
    Deno.test(`IdentityRegistry on ${engine}: ${name}`, async () => {
      const store = await open();
      try {
        await body(await TestRegistry.open(store));
      } finally {
        await store.close();
      }
    });

  test("of several agents that need it at once, one makes the authority", async (t) => {
    const others = await Promise.all([t.another(), t.another(), t.another()]);
    assert.deepEqual(await keysBelow(t.store, ["identity"]), []);
    const trusts = await Promise.all(
      [t, ...others].map(({ registry }) => registry.trust()),
    );
    for (const trust of trusts) assert.deepEqual(trust, trusts[0]);
    assert.equal(trusts[0]!.authorities.length, 1);
  });

  test("a token that is good once lets in one of those that use it at once", async (t) => {
    const other = await t.another();
    const secret = await t.token();
    const joins = await Promise.allSettled(
      ["a", "b", "c", "d", "e", "f"].map((name, i) =>
        (i % 2 === 0 ? t : other).join(secret, { name })
      ),
    );
    const codes = joins.map((join) =>
      join.status === "rejected" ? join.reason.code : "joined"
    );
    assert.deepEqual(codes.sort(), [
      "joined",
      ...Array(5).fill("permission_denied"),
    ]);
    const [token] = await t.registry.listTokens();
    assert.equal(token!.used, 1);
    assert.equal(token!.state, "used_up");
    assert.equal((await t.registry.listCertificates()).length, 1);
  });

  test("what one agent certifies holds with what another knows", async (t) => {
    const other = await t.another();
    const secret = await t.token({ maxUses: 2 });
    const members = [
      await t.join(secret, { name: "a" }),
      await other.join(secret, { name: "b" }),
    ];
    for (const { identity, credentials } of members) {
      const held = verify(t, { credentials });
      assert.deepEqual(held, identity);
    }
  });

  test("another agent hears of a revocation, and tells whom to trust", async (t) => {
    const other = await t.another();
    let heard = 0;
    other.registry.onChange(() => heard++);
    other.registry.start();
    const joined = await t.join(await t.token());
    await t.registry.revoke({ role: "node", name: "n1" }, "lost");
    // It also hears of the first authority.
    await waitFor(
      "the other to hear of it",
      () => heard > 0 && other.registry.knownTrust.revocations.length > 0,
    );
    assert.deepEqual(other.registry.knownTrust, await t.registry.trust());
    assert.throws(() =>
      verify(other, {
        credentials: {
          ...joined.credentials,
          trust: other.registry.knownTrust,
        },
      }), { message: /was revoked at .*, "lost"$/ });
    await other.registry.stop();
  });

  test("a certificate is not signed past a revocation that comes at once", async (t) => {
    const joined = await t.join(await t.token());
    const { clock } = t;
    // A second passes each time that somebody looks at the clock.
    const now = () => clock.nowMs += 1000;
    const signers = await Promise.all(
      [1, 2, 3].map(() => TestRegistry.open(t.store, { clock, now })),
    );
    const revoker = await TestRegistry.open(t.store, { clock, now });
    const renewals = signers.map((signer) => signer.renew(joined));
    const [revoked, ...renewed] = await Promise.allSettled([
      revoker.registry.revoke({ role: "node", name: "n1" }, ""),
      ...renewals,
    ]);
    assert.equal(revoked.status, "fulfilled");
    const trust = await t.registry.trust();
    const left = renewed.filter((renewal) =>
      renewal.status === "fulfilled" &&
      isGood(t, { ...renewal.value.credentials, trust })
    );
    assert.deepEqual(left, []);
  });

  test("rotations follow one another, and forget what has ended", async (t) => {
    const first = await t.join(await t.token());
    const next = await t.registry.rotate({
      announceMs: 60_000,
      overlapMs: 31 * DAY_MS,
    });
    assert.equal(next.generation, 2);
    await assert.rejects(t.registry.rotate(), { code: "failed_precondition" });
    assert.deepEqual(await generations(t), [1, 2]);
    assert.equal((await t.renew(first)).identity.generation, 1);
    t.clock.nowMs += 60_000;
    assert.equal((await t.renew(first)).identity.generation, 2);
    t.clock.nowMs += 10 * 60_000;
    await t.registry.tidy();
    assert.deepEqual(await generations(t), [1, 2]);
    t.clock.nowMs += 31 * DAY_MS;
    await t.registry.tidy();
    assert.deepEqual(await generations(t), [2]);
    assert.deepEqual(await keysBelow(t.store, ["identity", "issued"]), []);
    assert.deepEqual(await keysBelow(t.store, ["identity", "token"]), []);
  });
}

/** Verifies a certificate as another host does. */
function verify(
  { clock }: TestRegistry,
  { credentials }: Pick<TestMember, "credentials">,
): PeerIdentity {
  const [der] = parsePem("CERTIFICATE", credentials.chain);
  const { authorities, revocations } = credentials.trust;
  return verifyPeer(der!, {
    trust: authorities,
    clusterId: "c1",
    usage: "client",
    nowMs: clock.nowMs,
    revocations,
  });
}

function isGood(
  t: TestRegistry,
  credentials: TestMember["credentials"],
): boolean {
  try {
    verify(t, { credentials });
    return true;
  } catch {
    return false;
  }
}

async function generations({ registry }: TestRegistry): Promise<number[]> {
  return (await registry.trust()).authorities.map((a) => a.generation);
}

async function keysBelow(
  store: Store,
  prefix: readonly string[],
): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) {
    keys.push(JSON.stringify(key));
  }
  return keys;
}
