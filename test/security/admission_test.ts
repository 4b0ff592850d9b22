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

Deno.test("IdentityRegistry forgets the holder of an address once the certificate has expired", async () => {
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

Deno.test("IdentityRegistry certifies no address that other hosts cannot reach a node at", async (t) => {
  const rows: readonly [address: string, why: RegExp | undefined][] = [
    ["127.0.0.1", /127\.0\.0\.1 is loopback, and no other host reaches it/],
    ["0.0.0.0", /is this network/],
    ["224.0.0.1", /is multicast/],
    ["255.255.255.255", /is reserved/],
    ["169.254.1.1", /is link-local/],
    ["::", /is unspecified and loopback/],
    ["::1", /is unspecified and loopback/],
    ["fe80::1", /is link-local/],
    ["ff02::1", /is multicast/],
    ["172.16.0.1", /172\.16\.0\.1 is in the subnet of node "host1"/],
    ["172.16.3.9", /is in the subnet of node "host1"/],
    ["172.16.4.1", undefined],
    ["198.18.0.2", undefined],
    ["2001:2::2", undefined],
  ];
  for (const [text, why] of rows) {
    await t.step(text, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        const t = await TestRegistry.open(store);
        const addresses = [parseAddress(text)];
        const said = (attempt: Promise<unknown>) =>
          attempt.then(() => "", ({ message }) => message);
        const first = await t.join(await t.token(), { name: "n1" });
        assert.match(await said(t.renew(first, addresses)), why ?? /^$/);
        t.clock.nowMs += 2 * 24 * HOUR_MS;
        const second = { name: "n2", addresses };
        assert.match(
          await said(t.join(await t.token(), second)),
          why ?? /^$/,
        );
        const owner = { name: "host1", addresses };
        if (text.startsWith("172.16")) {
          assert.equal(await said(t.join(await t.token(), owner)), "");
        }
      } finally {
        await store.close();
      }
    });
  }
});

Deno.test("IdentityRegistry certifies no host under a name that others have too", async (t) => {
  const rows: readonly [name: string, why: RegExp | undefined][] = [
    ["localhost", /its name is that of every host for itself/],
    ["LocalHost", /that of every host/],
    ["a.localhost", /that of every host/],
    ["198.18.0.11", /its name is an address; start it with another --node/],
    ["localhost.example", undefined],
    ["198-18-0-11", undefined],
  ];
  for (const [name, why] of rows) {
    await t.step(name, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        const t = await TestRegistry.open(store);
        for (const bound of ["", name]) {
          const said = await t.join(await t.token({ name: bound }), { name })
            .then(() => "", ({ message }) => message);
          if (bound === "" || why) assert.match(said, why ?? /^$/);
        }
      } finally {
        await store.close();
      }
    });
  }
});
