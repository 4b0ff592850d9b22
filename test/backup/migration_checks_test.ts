import assert from "node:assert/strict";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { contentsOf } from "../support/state_fixture.ts";
import { fill, LEFT, migrate, NamedStore, Stores } from "./moving_registry.ts";

Deno.test("migrateRegistry() refuses to destroy another registry", async (t) => {
  const rows: readonly [
    name: string,
    prepare: (stores: Stores) => Promise<unknown>,
    said: RegExp,
  ][] = [
    [
      "no registry",
      (stores) => stores.kv.commit({ deletes: [["cluster", "config"]] }),
      /there is no registry in kv:/,
    ],
    [
      "another registry in the target",
      ({ etcd }) => fill(etcd),
      /is not empty: the registry of another cluster is in it, [-\w]{36}; name/,
    ],
    [
      "addresses in the target",
      ({ etcd }) =>
        etcd.commit({ puts: [{ key: ["ip", "x", "pool"], value: {} }] }),
      /has addresses of node "x", which this cluster does not know/,
    ],
    [
      "this very cluster in use in the target",
      async ({ kv, etcd }) => {
        const entry = await kv.get(["cluster", "config"]);
        await etcd.commit({ puts: [entry!] });
      },
      /this cluster is in etcd:\S+ already, and in use there/,
    ],
    [
      "a registry that has moved here",
      (stores) => stores.toEtcd(),
      LEFT,
    ],
    [
      "a newer schema in the target",
      ({ etcd }) =>
        etcd.commit({
          puts: [{ key: ["agent", "schema"], value: { version: 99 } }],
        }),
      /has version 99 of the schema/,
    ],
  ];
  for (const [name, prepare, said] of rows) {
    await t.step(name, async () => {
      await using stores = await Stores.create();
      await prepare(stores);
      const before = [
        await contentsOf(stores.kv),
        await contentsOf(stores.etcd),
      ];
      await assert.rejects(stores.toEtcd(), {
        code: "failed_precondition",
        message: said,
      });
      assert.deepEqual(
        [await contentsOf(stores.kv), await contentsOf(stores.etcd)],
        before,
      );
    });
  }
});

Deno.test("migrateRegistry() refuses one store for both", async () => {
  await using stores = await Stores.create();
  await assert.rejects(migrate(stores.kv, stores.kv), /are the same store/);
});

Deno.test("migrateRegistry() brings no registry to an agent that is not the node that it was", async () => {
  await using stores = await Stores.create();
  await stores.toEtcd();
  await stores.etcd.commit({ deletes: [["cluster", "node", "a"]] });
  await assert.rejects(stores.toKv(), {
    code: "failed_precondition",
    message: /has addresses of node "a".*run "stellar-net node leave --force"/,
  });
});

Deno.test("migrateRegistry() brings no registry to an agent that has not taken its addresses over", async () => {
  await using stores = await Stores.create();
  await stores.toEtcd();
  const kv = new NamedStore(
    await openDenoKv({ path: ":memory:" }),
    "kv:/later.db",
  );
  try {
    await kv.commit({
      puts: [{ key: ["agent", "instance"], value: "instance-later" }],
    });
    await assert.rejects(migrate(stores.etcd, kv), {
      code: "failed_precondition",
      message: /node "later", whose state is in kv:\/later.db, has not taken/,
    });
  } finally {
    await kv.close();
  }
});
