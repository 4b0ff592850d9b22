import { openEtcd } from "../../src/store/etcd/etcd.ts";
import { type EtcdCluster, startEtcd } from "../support/etcd.ts";
import { testIdentities } from "./identity_suite.ts";

// One cluster for all tests of this file, a prefix for each.
let cluster: EtcdCluster;
let prefixes = 0;

Deno.test.beforeAll(async () => {
  cluster = await startEtcd();
});

Deno.test.afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

testIdentities("etcd", () =>
  openEtcd({
    endpoints: cluster.endpoints,
    prefix: `/identities/${++prefixes}`,
  }));
