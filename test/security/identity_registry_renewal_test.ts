import assert from "node:assert/strict";
import { type Address, parseAddress } from "../../src/net/address.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { HOUR_MS } from "./pki/identities.ts";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";
import { type TestMember, TestRegistry, testRegistry } from "./registries.ts";

const DAY_MS = 24 * HOUR_MS;
const ADDRESS = parseAddress("198.18.0.2");

/** What becomes of a renewal, some time after n1 has joined. */
const RENEWALS: readonly [
  what: string,
  prepare: (t: TestRegistry, joined: TestMember) => Promise<unknown>,
  addresses: readonly Address[],
  refusal: RegExp | undefined,
][] = [
  ["in time", () => Promise.resolve(), [], undefined],
  [
    "with the address of another",
    (t) => Promise.resolve(t.nodes.set("n2", ["198.18.0.2"])),
    [ADDRESS],
    /node "n2" is reached at 198\.18\.0\.2/,
  ],
  [
    "of a revoked name",
    (t) => t.registry.revoke({ role: "node", name: "n1" }, ""),
    [],
    /is not accepted any more$/,
  ],
  [
    "of a revoked certificate",
    (t, { identity }) => t.registry.revoke({ serial: identity.serial }, ""),
    [],
    /is not accepted any more$/,
  ],
  [
    "30 days after its end",
    (t) => Promise.resolve(t.clock.nowMs += 31 * DAY_MS - 1),
    [],
    undefined,
  ],
  [
    "later",
    (t) => Promise.resolve(t.clock.nowMs += 31 * DAY_MS),
    [],
    /more than 30 days ago; join again with a token for this name, of "stellar-net token create --name n1"$/,
  ],
  [
    "after its end, of a node that is gone",
    (t) => {
      t.clock.nowMs += 2 * DAY_MS;
      return Promise.resolve(t.nodes.delete("n1"));
    },
    [],
    /has no node of that name any more; join again with a token for this name, of "stellar-net token create --name n1"$/,
  ],
  [
    "after its end, when another has its name",
    async (t) => {
      t.clock.nowMs += 2 * DAY_MS;
      await t.join(await t.token({ name: "n1" }));
    },
    [],
    /another key has a certificate of that name since; join again/,
  ],
  [
    "after its end, of a name that was revoked",
    async (t) => {
      t.clock.nowMs += 2 * DAY_MS;
      await t.registry.tidy();
      await t.registry.revoke({ role: "node", name: "n1" }, "");
      t.clock.nowMs += 28 * DAY_MS;
      await t.registry.tidy();
    },
    [],
    /is not accepted any more$/,
  ],
];

Deno.test("IdentityRegistry.renew() certifies members of the cluster", async (t) => {
  for (const [what, prepare, addresses, refusal] of RENEWALS) {
    await t.step(what, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        const t = await TestRegistry.open(store);
        const joined = await t.join(await t.token());
        t.nodes.set("n1", []);
        await prepare(t, joined);
        const renewal = t.renew(joined, addresses).then(
          ({ identity }) => identity.name,
          ({ code, message }) => `${code}: ${message}`,
        );
        const expected = refusal
          ? new RegExp(
            `^permission_denied: Cannot certify node "n1": .*${refusal.source}`,
          )
          : /^n1$/;
        assert.match(await renewal, expected);
      } finally {
        await store.close();
      }
    });
  }
});

testRegistry("limits renewals, and keeps few records of a name", async (t) => {
  const joined = await t.join(await t.token());
  t.nodes.set("n1", []);
  const renewals = await Promise.allSettled(
    Array.from({ length: 40 }, () => t.renew(joined)),
  );
  const codes = renewals.map((one) =>
    one.status === "rejected" ? one.reason.code : "renewed"
  );
  assert.deepEqual(codes, [
    ...Array(5).fill("renewed"),
    ...Array(35).fill("unavailable"),
  ]);
  for (let i = 0; i < 30; i++) {
    t.clock.nowMs += 60_000;
    await t.renew(joined);
  }
  const listed = await t.registry.listCertificates();
  assert.equal(listed.length, 16);
  assert.equal(listed[0]!.issuedAtMs, t.clock.nowMs);
});

testRegistry("drops a renewal that nobody waits for", async (t) => {
  const joined = await t.join(await t.token());
  const order = {
    addresses: [],
    signingRequest: createSigningRequest(joined.key),
  };
  const caller = new AbortController();
  const renewal = t.registry.renew(joined.identity, order, caller.signal);
  caller.abort();
  await assert.rejects(renewal, { code: "cancelled" });
  assert.equal((await t.registry.listCertificates()).length, 1);
});
