import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { WatchResponseSchema } from "../../../src/gen/etcd/etcd_pb.ts";
import {
  type EtcdClient,
  EtcdFailure,
} from "../../../src/store/etcd/client.ts";
import { EtcdKeyspace } from "../../../src/store/etcd/codec.ts";
import { EtcdWatch } from "../../../src/store/etcd/watch.ts";
import { WatchBacklog } from "../../../src/store/watch_backlog.ts";
import { collectLogs } from "../../support/collect_logs.ts";

/** Attempts to follow, by what becomes of each: why there is no connection, or undefined for an answer. */
const ATTEMPTS = [
  "nothing listens there",
  "nothing listens there",
  "nothing listens there",
  "it has no leader",
  undefined,
  "it has no leader",
];

Deno.test("a watch logs once why it cannot follow, and when it follows again", async () => {
  const keyspace = new EtcdKeyspace("/watched");
  const end = new AbortController();
  let attempts = 0;
  const client = {
    connect: () => {
      const problem = ATTEMPTS[attempts++];
      if (attempts === ATTEMPTS.length) queueMicrotask(() => end.abort());
      if (problem !== undefined) throw new EtcdFailure("unavailable", problem);
      const watch = async function* () {
        yield create(WatchResponseSchema);
      };
      return { watch: { watch } };
    },
    fail: () => new EtcdFailure("unavailable", "the watch was closed"),
  } as unknown as EtcdClient;
  const watch = new EtcdWatch({
    ...{ client, keyspace, range: keyspace.below([]), signal: end.signal },
    snapshot: () => Promise.resolve({ entries: [], revision: 1n }),
    revision: () => Promise.resolve(1n),
  }, new WatchBacklog());
  const lines = await collectLogs(() => watch.run());
  assert.equal(attempts, ATTEMPTS.length);
  assert.deepEqual(lines, [
    "nothing listens there; trying again",
    "it has no leader; trying again",
    "Following etcd again",
    "the watch was closed; trying again",
  ]);
});
