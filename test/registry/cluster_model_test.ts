import assert from "node:assert/strict";
import {
  type ClusterLedger,
  createClusterLedger,
  readClusterCommits,
} from "../../src/registry/cluster_model.ts";
import { Registry } from "../../src/registry/registry.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { createCarve } from "../../src/net/carve.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";

const CLUSTER = {
  clusterId: "c",
  networks: [createCarve(parsePrefix("10.0.0.0/16"), 24)],
  createdAtMs: 1,
};
const LEDGERS = 3;
const ROUNDS = 30;

/** Follows what is written to a store, on behalf of a ledger, and resolves when that has begun. */
async function follow(
  ledger: ClusterLedger,
  { store, signal }: { readonly store: Store; readonly signal: AbortSignal },
): Promise<{ readonly ended: Promise<void> }> {
  const begun = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const event of store.watch(["cluster"], { signal })) {
      const commits = event.kind === "changes"
        ? readClusterCommits(event.changes)
        : undefined;
      for (const commit of commits ?? [undefined]) ledger.receive(commit);
      begun.resolve();
    }
  })();
  await begun.promise;
  return { ended };
}

/** All that a ledger has in memory, as text. */
function read(ledger: ClusterLedger): Promise<string> {
  return ledger.read(({ revision, networks, nodes, routes }) =>
    JSON.stringify([
      revision,
      [...nodes.values()]
        .map(({ name, subnets }) => [name, subnets.map(formatPrefix)]).sort(),
      networks.flatMap((slices) =>
        [...slices.entries()].map(([index, record]) => [
          ...[Number(index), record.state, record.node],
        ])
      ).sort(),
      [...routes].map(([cidr, { target }]) => [cidr, formatAddress(target)])
        .sort(),
    ])
  );
}

Deno.test("ClusterLedger undoes the changes of a lost race, and reads nothing again", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const end = new AbortController();
  const open = () =>
    createClusterLedger({
      ...{ store, now: () => 1_000, isShared: true },
      // On a busy machine the watch takes longer than the default.
      announcedWithinMs: 120_000,
    });
  await new Registry(open()).create(CLUSTER);
  const ledgers = Array.from({ length: LEDGERS }, open);
  const following = await Promise.all(
    ledgers.map((ledger) => follow(ledger, { store, signal: end.signal })),
  );
  await Promise.all(ledgers.map(read));
  let lists = 0;
  const list = store.list.bind(store);
  store.list = (...args) => (lists++, list(...args));
  let refused = 0;
  const commit = store.commit.bind(store);
  store.commit = async (...args) => {
    const result = await commit(...args);
    if (!result.committed) refused++;
    return result;
  };
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(ledgers.map(async (ledger, i) => {
      const registry = new Registry(ledger);
      const subnet = parsePrefix(`10.0.${200 + i}.0/24`);
      const destination = parsePrefix(`192.0.2.${i * 16 + round % 3}/32`);
      await Promise.all([
        registry.claim(`node${i}-${round}`),
        round % 4 < 2
          ? registry.reserve({ subnet, node: "", reason: "" })
          : registry.unreserve(subnet),
        round % 6 < 3
          ? registry.addRoute({
            destination,
            target: parseAddress("198.18.0.9"),
          })
          : registry.deleteRoute({ destination, target: undefined }),
      ]);
    }));
  }
  assert.ok(refused > ROUNDS / 2, `only ${refused} commits were refused`);
  assert.equal(lists, 0);
  const seen = await Promise.all(ledgers.map(read));
  const stored = await read(open());
  assert.deepEqual(seen, seen.map(() => stored));
  end.abort();
  await Promise.all(following.map(({ ended }) => ended));
  await store.close();
});
