import assert from "node:assert/strict";
import { parseAddress } from "../../src/net/address.ts";
import { createKey } from "../../src/security/pki/key.ts";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { HOUR_MS } from "./pki/identities.ts";
import { type TestMember, TestRegistry } from "./registries.ts";

const OWN = parseAddress("198.18.0.1");
const SECOND = parseAddress("192.0.2.1");
const OTHER = parseAddress("198.18.0.2");

/** Signs for the agent's own node, at some addresses. */
async function signOwn(
  { registry }: TestRegistry,
  addresses = [OWN, SECOND],
): Promise<void> {
  const signingRequest = createSigningRequest(createKey());
  await registry.signOwn({ name: "host1", addresses, signingRequest });
}

/**
 * Who asks for which address, and what comes of it. Before each row the
 * cluster has host1, which is certified for two addresses and reached at one,
 * and n1, certified for and reached at one.
 */
const ROWS: readonly [
  what: string,
  ask: (t: TestRegistry, n1: TestMember) => Promise<unknown>,
  refusal: RegExp | undefined,
][] = [
  [
    "an address of another that it does not advertise",
    (t, n1) => t.renew(n1, [OTHER, SECOND]),
    /^Cannot certify node "n1": node "host1" has a certificate for 192\.0\.2\.1; /,
  ],
  [
    "the same, for a joining host",
    async (t) => t.join(await t.token(), { name: "n2", addresses: [SECOND] }),
    /^Cannot certify node "n2": node "host1" has a certificate for 192\.0\.2\.1; /,
  ],
  [
    "its own address, which another says to be reached at",
    async (t, n1) => {
      await t.join(await t.token(), { name: "n2" });
      t.nodes.set("n2", ["198.18.0.2"]);
      return t.renew(n1, [OTHER]);
    },
    undefined,
  ],
  [
    "an address that another is no longer certified for",
    async (t, n1) => {
      t.clock.nowMs += 1;
      await signOwn(t, [OWN]);
      return t.renew(n1, [OTHER, SECOND]);
    },
    undefined,
  ],
  [
    "an address of a node that was removed",
    async (t, n1) => {
      await t.registry.revoke({ role: "node", name: "host1" }, "");
      return t.renew(n1, [OTHER, SECOND]);
    },
    undefined,
  ],
  [
    "an address of a node that has left",
    (t, n1) => {
      t.nodes.delete("host1");
      return t.renew(n1, [OTHER, SECOND]);
    },
    undefined,
  ],
  [
    "an address of a node whose certificate has ended",
    (t, n1) => {
      t.clock.nowMs += 24 * HOUR_MS;
      return t.renew(n1, [OTHER, SECOND]);
    },
    undefined,
  ],
];

Deno.test("IdentityRegistry certifies no node for an address of another", async (t) => {
  for (const [what, ask, refusal] of ROWS) {
    await t.step(what, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        const t = await TestRegistry.open(store);
        await signOwn(t);
        t.nodes.set("host1", ["198.18.0.1"]);
        const n1 = await t.join(await t.token(), { addresses: [OTHER] });
        t.nodes.set("n1", ["198.18.0.2"]);
        const said = await ask(t, n1).then(() => "", ({ message }) => message);
        assert.match(said, refusal ?? /^$/);
      } finally {
        await store.close();
      }
    });
  }
});

Deno.test("IdentityRegistry forgets whose an address was once the certificate has ended", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  try {
    const t = await TestRegistry.open(store);
    await signOwn(t);
    const known = async () =>
      (await Array.fromAsync(store.list(["identity", "holder"]))).length;
    assert.equal(await known(), 2);
    t.clock.nowMs += 24 * HOUR_MS;
    await t.registry.tidy();
    assert.equal(await known(), 0);
  } finally {
    await store.close();
  }
});
