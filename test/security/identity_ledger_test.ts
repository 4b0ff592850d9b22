import assert from "node:assert/strict";
import {
  createIdentityLedger,
  type IdentityLedger,
} from "../../src/security/identity_ledger.ts";
import {
  IDENTITY_REVISION_KEY,
  type IdentityChange,
  nameRevocationKey,
} from "../../src/state/identity_records.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";

const ROUNDS = 5;

/** The change that revokes the certificates of a node. */
function revocationOf(name: string): IdentityChange {
  return {
    kind: "revocation",
    key: nameRevocationKey("node", name),
    record: {
      ...{ kind: "name", role: "node", name, reason: "" } as const,
      ...{ revokedAtMs: 1_000, issuedUpToMs: 1_000, untilMs: 2_000 },
    },
  };
}

function revoke(ledger: IdentityLedger, name: string): Promise<void> {
  const changes = [revocationOf(name)];
  return ledger.submit(() => ({ kind: "planned", answer: undefined, changes }));
}

/** The revision that a ledger has in memory, and the names that are revoked. */
function read(ledger: IdentityLedger): Promise<string> {
  return ledger.read(({ revision, revocations }) =>
    [
      revision,
      ...revocations.map((record) => record.kind === "name" && record.name),
    ].join(" ")
  );
}

Deno.test("IdentityLedger undoes the changes of a lost race, and reads nothing again", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const now = () => 1_000;
  const other = createIdentityLedger({ store, now });
  await revoke(other, "first");
  let lists = 0;
  let races = 0;
  const ledger = createIdentityLedger({
    store: {
      ...{ url: store.url, limits: store.limits },
      get: (key) => store.get(key),
      list: (prefix, options) => (lists++, store.list(prefix, options)),
      watch: (prefix, options) => store.watch(prefix, options),
      close: () => store.close(),
      /** Every other commit comes too late, and the watch tells at once why. */
      async commit(commit) {
        if (races % 2 !== 0) {
          races++;
          return await store.commit(commit);
        }
        const name = `other${races++}`;
        await revoke(other, name);
        const result = await store.commit(commit);
        assert.equal(result.committed, false);
        const guard = await store.get(IDENTITY_REVISION_KEY);
        ledger.receive({
          version: guard!.version,
          changes: [
            { kind: "revision", revision: Number(guard!.value) },
            revocationOf(name),
          ],
        });
        return result;
      },
    },
    now,
  });
  await read(ledger);
  const before = lists;
  for (let round = 0; round < ROUNDS; round++) {
    await revoke(ledger, `own${round}`);
  }
  assert.equal(races, 2 * ROUNDS);
  assert.equal(
    await read(ledger),
    await read(createIdentityLedger({ store, now })),
  );
  assert.equal(lists, before);
  await store.close();
});
