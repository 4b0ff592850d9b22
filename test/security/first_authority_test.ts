import assert from "node:assert/strict";
import { createKey } from "../../src/security/pki/key.ts";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { TestRegistry } from "./registries.ts";

/** What is done in a cluster without an authority, and whether that makes one. */
const ROWS: readonly [
  what: string,
  makes: boolean,
  act: (t: TestRegistry) => Promise<unknown>,
][] = [
  ["is opened", false, () => Promise.resolve()],
  ["lists tokens", false, async ({ registry }) => {
    assert.deepEqual(await registry.listTokens(), []);
  }],
  ["lists certificates", false, async ({ registry }) => {
    assert.deepEqual(await registry.listCertificates(), []);
  }],
  ["tidies", false, ({ registry }) => registry.tidy()],
  [
    "begins a join with a token that is not known",
    false,
    ({ registry }) => registry.beginJoin("000000000000"),
  ],
  [
    "revokes a name",
    false,
    ({ registry }) => registry.revoke({ role: "node", name: "n1" }, ""),
  ],
  ["tells whom to trust", true, async ({ registry }) => {
    assert.equal((await registry.trust()).authorities.length, 1);
  }],
  ["makes a token", true, (t) => t.token()],
  ["certifies the node whose agent it is", true, async ({ registry }) => {
    const signingRequest = createSigningRequest(createKey());
    const own = { name: "n1", addresses: [], signingRequest };
    const { trust } = await registry.signOwn(own);
    assert.equal(trust.authorities.length, 1);
  }],
  ["makes the next authority", true, async ({ registry }) => {
    assert.equal((await registry.rotate()).generation, 2);
  }],
];

for (const [what, makes, act] of ROWS) {
  Deno.test(`IdentityRegistry that ${what} ${makes ? "makes the" : "makes no"} first authority`, async () => {
    const store = await openDenoKv({ path: ":memory:" });
    try {
      const t = await TestRegistry.open(store);
      await act(t);
      const { authorities } = t.registry.knownTrust;
      const first = await store.get(["identity", "trust", "authority", 1]);
      assert.deepEqual(
        [authorities.length > 0, first !== undefined && first !== null],
        [makes, makes],
      );
    } finally {
      await store.close();
    }
  });
}
