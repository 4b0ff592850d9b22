import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import {
  type Changed,
  type ClusterEvent,
  ClusterFeed,
  COALESCE_MS,
  SNAPSHOT_TIMEOUT_MS,
} from "../../src/registry/feed.ts";
import { HeldTimers } from "../support/held_timers.ts";
import { waitFor } from "../support/wait_for.ts";

/** Numbers, not imports: a test must not follow a bound that grows. */
const MAX_BACKLOG = 256;
const MAX_SNAPSHOTS = 32;

const EMPTY = {
  nodes: [],
  routes: [],
  removedNodes: [],
  removedRoutes: [],
};

/** A feed of a source that counts its events, with watchers that end together. */
class World implements AsyncDisposable {
  readonly #watches: AsyncGenerator<ClusterEvent>[] = [];
  readonly end = new AbortController();
  /** Each request for changes: the nodes, the routes, and "trust". */
  readonly changed: string[] = [];
  snapshots = 0;
  isDown = false;
  readonly feed = new ClusterFeed({
    snapshot: (then) => {
      then({ revision: ++this.snapshots, isSnapshot: true, ...EMPTY });
      return Promise.resolve();
    },
    changes: ({ nodes, routes, trust }: Changed) => {
      this.changed.push(
        [...nodes, ...routes, ...(trust ? ["trust"] : [])].join(),
      );
      return this.isDown
        ? Promise.reject(new NetError("unavailable", "down"))
        : Promise.resolve({
          revision: 100 + this.changed.length,
          isSnapshot: false,
          ...EMPTY,
        });
    },
  });

  watch(): AsyncGenerator<ClusterEvent> {
    const watch = this.feed.watch(this.end.signal);
    this.#watches.push(watch);
    return watch;
  }

  /** A watcher that has read its snapshot and waits for the next event. */
  async follow(): Promise<{ readonly next: Promise<ClusterEvent> }> {
    const watcher = this.watch();
    await watcher.next();
    return { next: watcher.next().then(({ value }) => value) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end.abort();
    await Promise.all(this.#watches.map((watch) => watch.return(undefined)));
  }
}

const LOST = {
  code: "unavailable",
  message: "Cannot go on with the watch: changes were missed; watch again",
};

Deno.test("ClusterFeed.watch() sends a snapshot, then one event for all changes of some tens of milliseconds", async () => {
  await using world = new World();
  const watcher = await world.follow();
  const startedMs = performance.now();
  world.feed.nodeChanged("a");
  world.feed.nodeChanged("b");
  world.feed.nodeChanged("a");
  world.feed.routeChanged("10.0.0.0/8");
  world.feed.trustChanged();
  assert.equal((await watcher.next).revision, 101);
  assert.ok(performance.now() - startedMs >= 29);
  assert.deepEqual(world.changed, ["a,b,10.0.0.0/8,trust"]);
});

Deno.test("ClusterFeed makes one event and one snapshot, however many watch", async () => {
  await using world = new World();
  const watchers = await Promise.all(
    Array.from({ length: 5 }, () => world.follow()),
  );
  world.feed.nodeChanged("a");
  const events = await Promise.all(watchers.map(({ next }) => next));
  assert.equal(new Set(events).size, 1);
  assert.deepEqual([world.snapshots, world.changed], [1, ["a"]]);
});

Deno.test("ClusterFeed.watch() takes a new snapshot after any change", async () => {
  await using world = new World();
  for (
    const change of [
      () => world.feed.nodeChanged("a"),
      () => world.feed.routeChanged("10.0.0.0/8"),
      () => world.feed.trustChanged(),
      () => world.feed.reset(),
    ]
  ) {
    const before = (await world.watch().next()).value;
    change();
    assert.equal(
      (await world.watch().next()).value.revision,
      before.revision + 1,
    );
  }
});

Deno.test("ClusterFeed collects nothing while nobody watches", async () => {
  await using world = new World();
  world.feed.nodeChanged("a");
  const watcher = await world.follow();
  world.feed.nodeChanged("b");
  await watcher.next;
  assert.deepEqual(world.changed, ["b"]);
});

Deno.test("ClusterFeed.reset() ends every watch, which restarts from a snapshot", async () => {
  await using world = new World();
  const watcher = await world.follow();
  world.feed.reset();
  await assert.rejects(watcher.next, LOST);
});

Deno.test("ClusterFeed ends every watch when the changes cannot be read", async () => {
  await using world = new World();
  const watcher = await world.follow();
  world.isDown = true;
  world.feed.nodeChanged("a");
  await assert.rejects(watcher.next, LOST);
});

Deno.test("ClusterFeed drops a watcher that is more events behind than it keeps, and no other", async () => {
  await using world = new World();
  using timers = new HeldTimers(COALESCE_MS);
  const slow = world.watch();
  await slow.next();
  const reader = world.watch();
  await reader.next();
  for (let sent = 0; sent <= MAX_BACKLOG; sent++) {
    const next = reader.next();
    world.feed.nodeChanged("a");
    timers.fire();
    await next;
  }
  await assert.rejects(slow.next(), LOST);
});

Deno.test("ClusterFeed keeps as many events for a watcher as it says", async () => {
  await using world = new World();
  using timers = new HeldTimers(COALESCE_MS);
  const slow = world.watch();
  await slow.next();
  const reader = world.watch();
  await reader.next();
  for (let sent = 0; sent < MAX_BACKLOG; sent++) {
    const next = reader.next();
    world.feed.nodeChanged("a");
    timers.fire();
    await next;
  }
  for (let sent = 1; sent <= MAX_BACKLOG; sent++) {
    assert.equal((await slow.next()).value.revision, 100 + sent);
  }
});

Deno.test("ClusterFeed.watch() lets no more than 32 watchers have a snapshot at once", async () => {
  await using world = new World();
  let served = 0;
  const watchers = Array.from({ length: MAX_SNAPSHOTS + 2 }, () => {
    const watcher = world.watch();
    const first = watcher.next().then(() => served++);
    return { watcher, first };
  });
  await waitFor("the first snapshots", () => served === MAX_SNAPSHOTS);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(served, MAX_SNAPSHOTS);
  // One has read its snapshot, and another goes away without reading.
  void watchers[0]!.watcher.next();
  await waitFor("the next snapshot", () => served === MAX_SNAPSHOTS + 1);
  await watchers[1]!.watcher.return(undefined);
  await Promise.all(watchers.map(({ first }) => first));
});

Deno.test("ClusterFeed.watch() waits for a watcher that does not read its snapshot for a bounded time", async () => {
  await using world = new World();
  using timers = new HeldTimers(SNAPSHOT_TIMEOUT_MS);
  await Promise.all(
    Array.from({ length: MAX_SNAPSHOTS }, () => world.watch().next()),
  );
  let isServed = false;
  const last = world.watch().next().then(() => isServed = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isServed, false);
  timers.fire();
  await last;
});
