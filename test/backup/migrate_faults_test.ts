import assert from "node:assert/strict";
import type { Store } from "../../src/store/store.ts";
import type { Fault } from "../fake/faulty_store.ts";
import { owner } from "../addresses/plan/pools.ts";
import { contentsOf } from "../support/state_fixture.ts";
import { allocate, startAgent } from "../agent/agents.ts";
import { LEFT, Stores, use } from "./moving_registry.ts";

/** Lets every commit to a store fail in turn; `run` goes on until it succeeds, from stores as they were. */
async function failInTurn(
  fault: Fault | "end",
  which: "kv" | "etcd",
  prepare: (stores: Stores) => Promise<void>,
  run: (stores: Stores) => Promise<unknown>,
): Promise<number> {
  for (let commit = 0;; commit++) {
    await using stores = await Stores.create();
    await prepare(stores);
    const before = stores[which].commits;
    if (fault === "end") {
      stores[which].onCommit = () => {
        stores.isDown = stores[which].commits - before > commit;
      };
    } else stores[which].failAfter(commit, fault);
    let isFailed = false;
    try {
      await run(stores);
    } catch (error) {
      isFailed = true;
      assert.match(String(error), /NetError: .*(disk full|answer lost|reach)/);
    }
    stores[which].onCommit = () => {};
    stores.isDown = false;
    await checkUsable(stores, { isFailed });
    const isOver = stores[which].commits - before <= commit;
    stores[which].mend();
    if (isFailed) await runAgain(stores, run);
    await checkMoved(stores);
    if (isOver) return commit;
  }
}

async function runAgain(
  stores: Stores,
  run: (stores: Stores) => Promise<unknown>,
): Promise<void> {
  try {
    await run(stores);
  } catch (error) {
    assert.match(String(error), LEFT);
  }
}

/** At no time can both be used. */
async function checkUsable(
  stores: Stores,
  { isFailed }: { readonly isFailed: boolean },
): Promise<void> {
  const usable = [];
  for (const store of [stores.kv, stores.etcd]) {
    const entries = await contentsOf(store);
    const isMarked = '["cluster","moved"]' in entries ||
      '["cluster","migrating"]' in entries;
    if ('["cluster","config"]' in entries && !isMarked) usable.push(store.url);
  }
  assert.ok(usable.length <= 1, String(usable));
  assert.ok(isFailed || usable.length === 1);
}

/** Nothing is lost: what one store has of the registry is what the other had. */
async function checkMoved(stores: Stores): Promise<void> {
  const registry = async (store: Store) =>
    Object.entries(await contentsOf(store)).filter(([key]) =>
      /^\["(?:cluster","(?!moved|migrating)|ip","(?!a")|history","ip","(?!a"))/
        .test(key)
    );
  const kv = await registry(stores.kv);
  assert.ok(kv.length > 300, String(kv.length));
  assert.deepEqual(await registry(stores.etcd), kv);
}

for (const fault of ["refuse before", "lose answer", "end"] as const) {
  for (const which of ["kv", "etcd"] as const) {
    Deno.test(`migrateRegistry() loses nothing, whichever commit to ${which} fails on the way to etcd (${fault})`, async () => {
      const commits = await failInTurn(
        fault,
        which,
        () => Promise.resolve(),
        (stores) => stores.toEtcd(),
      );
      assert.ok(commits >= 4, String(commits));
    });

    Deno.test(`migrateRegistry() loses nothing, whichever commit to ${which} fails on the way back (${fault})`, async () => {
      const commits = await failInTurn(fault, which, async (stores) => {
        await stores.toEtcd();
        await using _ = await host(stores.etcd);
      }, (stores) => stores.toKv());
      assert.ok(commits >= 2, String(commits));
    });
  }
}

/** Changes the registry in etcd, so that there is something to bring back. */
async function host(registryStore: Store): Promise<AsyncDisposable> {
  const own = await startAgent({ node: "z", registryStore });
  const { agent } = own;
  await use(agent, async () => {
    await allocate(agent, "c200", { node: "api" });
    await agent.addresses.release("api", {
      owner: owner("c9"),
      reason: "test",
    });
    await agent.leave({ force: true });
  });
  return own;
}

Deno.test("migrateRegistry() loses nothing when two run at once, however they meet", async (t) => {
  for (let ahead = 0; ahead < 8; ahead++) {
    await t.step(`the first is ${ahead} commits ahead`, async () => {
      await using stores = await Stores.create();
      const { promise, resolve } = Promise.withResolvers<void>();
      let commits = 0;
      const count = () => {
        if (++commits > ahead) resolve();
      };
      stores.kv.onCommit = count;
      stores.etcd.onCommit = count;
      const first = stores.toEtcd();
      const second = promise.then(() => stores.toEtcd());
      await Promise.allSettled([first, second]);
      await checkUsable(stores, { isFailed: true });
      await runAgain(stores, () => stores.toEtcd());
      await checkUsable(stores, { isFailed: false });
      await checkMoved(stores);
    });
  }
});

Deno.test("migrateRegistry() tries 8 times to mark a registry that others keep changing, and as often to free it", async () => {
  await using stores = await Stores.create();
  const { kv } = stores;
  let attempts = 0;
  kv.beforeCommit = async () => {
    attempts++;
    kv.beforeCommit = () => Promise.resolve();
    const revision = await kv.get(["cluster", "revision"]);
    await kv.commit({
      puts: [{ key: ["cluster", "revision"], value: revision!.value }],
    });
    kv.beforeCommit = disturb;
  };
  const disturb = kv.beforeCommit;
  await assert.rejects(stores.toEtcd(), /others keep changing what is in kv:/);
  // The first attempt marks the schema, which nobody disturbs.
  assert.ok(attempts >= 16 && attempts <= 18, String(attempts));
});

Deno.test("migrateRegistry() copies entries that keep differing 3 times", async () => {
  await using calm = await Stores.create();
  await calm.toEtcd();
  await using stores = await Stores.create();
  const { etcd } = stores;
  const disturb = async () => {
    etcd.onCommit = () => {};
    const key = ["cluster", "route", "10.99.0.0/16"];
    const value = { target: "198.18.0.1", addedAtMs: 1 };
    if (await etcd.get(["cluster", "config"])) {
      await etcd.commit({ puts: [{ key, value }] });
    }
    etcd.onCommit = disturb;
  };
  etcd.onCommit = disturb;
  await assert.rejects(
    stores.toEtcd(),
    /"route",.* keeps differing between the stores/,
  );
  // The first copy and a disturbance after each commit; then one commit and one
  // disturbance in each of two more copies.
  const most = 2 * calm.etcd.commits + 8;
  assert.ok(etcd.commits <= most, `${etcd.commits}, not ${most}`);
});
