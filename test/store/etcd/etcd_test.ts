import { MAX_BACKLOG } from "../../../src/store/change_feed.ts";
import { type EtcdStore, openEtcd } from "../../../src/store/etcd/etcd.ts";
import { type EtcdCluster, startEtcd } from "../../support/etcd.ts";
import { testStore } from "../../suite/store_suite.ts";

// One cluster for all tests of this file, a prefix for each.
let cluster: EtcdCluster;
let prefixes = 0;

Deno.test.beforeAll(async () => {
  cluster = await startEtcd();
});

Deno.test.afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

function openStore(prefix: string): Promise<EtcdStore> {
  return openEtcd({ endpoints: cluster.endpoints, prefix });
}

testStore("openEtcd()", {
  durable: true,
  maxBacklog: MAX_BACKLOG,
  async open() {
    const prefix = `/suite/${++prefixes}`;
    let store = await openStore(prefix);
    return {
      store,
      async reopen() {
        await store.close();
        return store = await openStore(prefix);
      },
      dispose: () => store.close(),
    };
  },
});
