import assert from "node:assert/strict";
import { type EtcdStore, openEtcd } from "../../../src/store/etcd/etcd.ts";
import { type EtcdCluster, startEtcd } from "../../support/etcd.ts";
import { StoreLoad } from "../../support/store_load.ts";
import { waitFor } from "../../support/wait_for.ts";
import { put, Replica, WatchReader } from "../../suite/store_suite_support.ts";

const PREFIX = "/faults";

/** Registers a test with a cluster of three members and a store of its own. */
function testFault(
  name: string,
  body: (store: EtcdStore, cluster: EtcdCluster) => Promise<void>,
): void {
  Deno.test(name, async () => {
    await using cluster = await startEtcd({ members: 3 });
    const store = await openStore(cluster.endpoints);
    try {
      await body(store, cluster);
    } finally {
      await store.close();
    }
  });
}

/** Kills the first member, and waits until the store goes on without it. */
async function loseFirst(
  store: EtcdStore,
  cluster: EtcdCluster,
): Promise<void> {
  await cluster.members[0]!.kill();
  await cluster.ready();
  await store.get(["any"]);
}

function openStore(endpoints: readonly string[]): Promise<EtcdStore> {
  return openEtcd({ endpoints, prefix: PREFIX, timeoutMs: 1_500 });
}

testFault(
  "a follower that is killed and comes back stops nobody",
  async (store, cluster) => {
    using load = new StoreLoad(store);
    await load.progress(50);
    const leader = await cluster.leader();
    const followers = cluster.members.filter((member) => member !== leader);
    for (const [i, member] of followers.entries()) {
      await member.kill(i === 0 ? "SIGKILL" : "SIGTERM");
      await load.progress(100);
      member.start();
      await cluster.ready();
      await load.progress(50);
    }
    await load.finish();
    assert.equal(load.replica.snapshots, 1);
  },
);

testFault(
  "a leader that is killed is replaced, and nothing answered is lost",
  async (store, cluster) => {
    using load = new StoreLoad(store);
    for (let i = 0; i < 2; i++) {
      await load.progress(50);
      const leader = await cluster.leader();
      await leader.kill();
      await load.progress(50);
      leader.start();
      await cluster.ready();
    }
    await load.finish();
    assert.equal(load.replica.snapshots, 1);
  },
);

testFault(
  "a member that hangs is left for another, and its commits are not known",
  async (store, cluster) => {
    const [first] = cluster.members;
    using load = new StoreLoad(store);
    await load.progress(20);
    first!.signal("SIGSTOP");
    await load.progress(100);
    assert.notEqual(store.problems.get(first!.endpoint), undefined);
    // The watch that hangs there is noticed by its silence.
    const mark = load.committed.at(-1)!;
    await waitFor(
      "the watch",
      () => load.replica.has(mark),
    );
    first!.signal("SIGCONT");
    await load.finish();
  },
);

testFault(
  "without a quorum calls are refused with the reason, and go on by themselves",
  async (store, cluster) => {
    using load = new StoreLoad(store, { writers: 1 });
    await load.progress(20);
    const [, second, third] = cluster.members;
    await Promise.all([second!.kill(), third!.kill()]);
    const unavailable = {
      name: "NetError",
      code: "unavailable",
      message:
        /it has no leader, most members of the cluster are out of its reach/,
    };
    // A leader that has just lost its followers takes requests still.
    await waitFor("the leader to give up", async () => {
      const error = await store.get(["a"]).catch((error) => error);
      return unavailable.message.test(error.message);
    });
    // A busy machine may not answer in time at first.
    await waitFor("a write to be refused", async () => {
      const error = await put(store, ["b"], 1).then(
        () => assert.fail("it was written"),
        (error) => error,
      );
      assert.equal(error.code, "unavailable");
      return unavailable.message.test(error.message);
    });
    await assert.rejects(() => store.get(["b"]), {
      ...unavailable,
      message: new RegExp(
        `^Cannot read from etcd://.*${third!.endpoint}: nothing listens there`,
      ),
    });
    // In the same words each time, whichever endpoint it asked first.
    const problem = async () =>
      String(await store.get(["b"]).catch((error) => error));
    await waitFor("the same error in a row", async () => {
      const [first, ...others] = [
        await problem(),
        await problem(),
        await problem(),
        await problem(),
      ];
      return others.every((other) => other === first) &&
        cluster.endpoints.every((endpoint) =>
          first!.split(`${PREFIX}: `)[1]!.includes(endpoint)
        );
    });
    second!.start();
    await load.progress(20);
    third!.start();
    await cluster.ready();
    await load.finish();
    assert.equal(await store.get(["b"]), null);
  },
);

testFault(
  "watch() resumes after a break where it was",
  async (store, cluster) => {
    const [first] = cluster.members;
    const alone = await openStore([first!.endpoint]);
    const watch = new WatchReader(alone, ["w"]);
    await watch.next();
    await loseFirst(store, cluster);
    const version = await put(store, ["w", "a"], 1);
    first!.start();
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["w", "a"], value: 1, version }],
    });
    await alone.close();
  },
);

testFault(
  "watch() gives a new snapshot when what comes next is compacted",
  async (store, cluster) => {
    const [first] = cluster.members;
    const alone = await openStore([first!.endpoint]);
    await put(store, ["w", "deleted meanwhile"], 1);
    const watch = new WatchReader(alone, ["w"]);
    const replica = new Replica();
    replica.apply((await watch.next())!);
    await loseFirst(store, cluster);
    await store.commit({ deletes: [["w", "deleted meanwhile"]] });
    const version = await put(store, ["w", "a"], 1);
    await cluster.compact(Number(version));
    first!.start();
    assert.deepEqual(await watch.next(), {
      kind: "snapshot",
      entries: [{ key: ["w", "a"], value: 1, version }],
    });
    await alone.close();
  },
);

testFault(
  "compaction and defragmentation under load lose nothing",
  async (store, cluster) => {
    using load = new StoreLoad(store, { writers: 8 });
    for (let i = 0; i < 3; i++) {
      await load.progress(100);
      const version = await put(store, ["mark"], i);
      await cluster.compact(Number(version));
      await cluster.ctl(["defrag"]);
    }
    await load.finish();
  },
);

testFault(
  "endpoints of two clusters are refused before anything is written",
  async (store, cluster) => {
    await using other = await startEtcd();
    const [first] = cluster.members;
    const both = await openStore([first!.endpoint, other.endpoints[0]!]);
    await put(both, ["a"], 1);
    await loseFirst(store, cluster);
    await assert.rejects(() => both.get(["a"]));
    await assert.rejects(() => put(both, ["a"], 2), {
      code: "unavailable",
      message: new RegExp(
        `${
          other.endpoints[0]
        }: it belongs to another cluster \\([0-9a-f]+\\) than ${
          first!.endpoint
        }`,
      ),
    });
    await both.close();
    assert.equal((await store.get(["a"]))?.value, 1);
    const stray = await openStore(other.endpoints);
    assert.equal(await stray.get(["a"]), null);
    await stray.close();
  },
);

Deno.test("commit() says when its outcome is not known, and never repeats it", async () => {
  await using cluster = await startEtcd();
  const [member] = cluster.members;
  const store = await openStore(cluster.endpoints);
  const first = await put(store, ["a"], 1);
  const watch = new WatchReader(store, []);
  await watch.next();
  member!.signal("SIGSTOP");
  await assert.rejects(() => put(store, ["a"], 2), {
    name: "NetError",
    code: "unavailable",
    message:
      `Cannot write to etcd://${member!.endpoint}${PREFIX}: ${
        member!.endpoint
      }: it did not answer in time: it hangs, ` +
      "has too much to do, or most members of the cluster are out of its " +
      "reach; whether the commit was written is not known",
  });
  // Now it is known that it hangs, and nothing is sent any more.
  await assert.rejects(() => put(store, ["b"], 2), {
    message: /did not answer in time: [^;]*$/,
  });
  member!.signal("SIGCONT");
  const entry = await store.get(["a"]);
  const { committed } = await store.commit({
    checks: [{ key: ["a"], version: entry!.version }],
    puts: [{ key: ["a"], value: 3 }],
  });
  assert.ok(committed);
  assert.ok(entry!.version >= first);
  assert.equal(await store.get(["b"]), null);
  await member!.kill();
  await assert.rejects(() => store.get(["a"]));
  await assert.rejects(() => put(store, ["a"], 4), {
    name: "NetError",
    code: "unavailable",
    message: `Cannot write to etcd://${member!.endpoint}${PREFIX}: ${
      member!.endpoint
    }: nothing listens there; start etcd, or look at --store`,
  });
  await store.close();
});

Deno.test("a database that is full refuses writes alone, until there is space again", async () => {
  await using cluster = await startEtcd({
    args: ["--quota-backend-bytes", String(8 * 1024 * 1024)],
  });
  const store = await openStore(cluster.endpoints);
  const large = "x".repeat(60_000);
  const fill = async () => {
    for (let i = 0;; i++) await put(store, ["large"], `${large}${i}`);
  };
  const full = {
    name: "NetError",
    code: "unavailable",
    message: /its database is full \(alarm NOSPACE\); compact and defragment/,
  };
  await assert.rejects(fill, full);
  await assert.rejects(() => put(store, ["a"], 1), full);
  const entry = await store.get(["large"]);
  assert.ok((entry?.value as string).startsWith(large));
  const watch = new WatchReader(store, []);
  await watch.next();
  await cluster.compact(Number(entry!.version));
  await cluster.ctl(["defrag"]);
  await cluster.ctl(["alarm", "disarm"]);
  const version = await put(store, ["a"], 2);
  assert.deepEqual(await watch.next(), {
    kind: "changes",
    changes: [{ key: ["a"], value: 2, version }],
  });
  await store.close();
});
