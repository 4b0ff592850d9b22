import assert from "node:assert/strict";
import { ChangeFeed, MAX_BACKLOG } from "../../src/store/change_feed.ts";
import type { Change, Entry, WatchEvent } from "../../src/store/store.ts";

/** A source whose listing and commits stand still until the test lets them go on. */
class SteppedSource {
  entries: Entry[] = [];
  error: Error | undefined;
  /** Resolved when a listing has begun, and when it may go on. */
  listing = Promise.withResolvers<void>();
  proceed = Promise.withResolvers<void>();
  /** Resolved when the feed waits for commits, and when these are done. */
  settling = Promise.withResolvers<void>();
  commits: Promise<void> = Promise.resolve();

  async *list(): AsyncGenerator<Entry> {
    this.listing.resolve();
    await this.proceed.promise;
    if (this.error) throw this.error;
    yield* this.entries;
  }

  settled(): Promise<void> {
    this.settling.resolve();
    return this.commits;
  }
}

function change(name: string, value: number | null, version: string): Change {
  return { key: ["w", name], value, version };
}

function start(source: SteppedSource) {
  const feed = new ChangeFeed(source);
  const abort = new AbortController();
  const watch = feed.watch(["w"], abort.signal);
  return { feed, abort, watch };
}

async function next(watch: AsyncGenerator<WatchEvent>) {
  return (await watch.next()).value as WatchEvent | undefined;
}

Deno.test("watch() merges a listing with the changes published meanwhile", async () => {
  const source = new SteppedSource();
  const { feed, abort, watch } = start(source);
  const snapshot = next(watch);
  await source.listing.promise;
  // Seen: "old" and "ahead", not the rest, as if their pages had been read before.
  source.entries = [
    change("old", 1, "01") as Entry,
    change("ahead", 9, "09") as Entry,
    change("deleted", 1, "02") as Entry,
  ];
  const committing = Promise.withResolvers<void>();
  source.commits = committing.promise;
  feed.publish([change("ahead", 5, "05"), change("new", 5, "05")]);
  feed.publish([change("deleted", null, "06"), change("brief", 1, "06")]);
  feed.publish([change("brief", null, "07"), {
    ...change("x", 1, "07"),
    key: ["v"],
  }]);
  source.proceed.resolve();
  await source.settling.promise;
  // The commit that the listing was ahead with.
  feed.publish([change("ahead", 9, "09"), change("partner", 9, "09")]);
  committing.resolve();
  assert.deepEqual(await snapshot, {
    kind: "snapshot",
    entries: [
      change("old", 1, "01"),
      change("ahead", 9, "09"),
      change("new", 5, "05"),
      change("partner", 9, "09"),
    ],
  });
  feed.publish([change("ahead", 10, "10")]);
  feed.publish([change("new", null, "11")]);
  assert.deepEqual(await next(watch), {
    kind: "changes",
    changes: [change("ahead", 10, "10"), change("new", null, "11")],
  });
  abort.abort();
  assert.equal(await next(watch), undefined);
  assert.equal(feed.watched, false);
});

Deno.test("watch() ends by its signal while a listing stands still", async () => {
  const source = new SteppedSource();
  const { feed, abort, watch } = start(source);
  const snapshot = next(watch);
  await source.listing.promise;
  abort.abort();
  assert.equal(await snapshot, undefined);
  assert.equal(feed.watched, false);
  source.proceed.resolve();
});

Deno.test("watch() passes on that a listing failed, and is gone", async () => {
  const source = new SteppedSource();
  const { feed, watch } = start(source);
  source.error = new Error("the disk is on fire");
  source.proceed.resolve();
  await assert.rejects(() => next(watch), source.error);
  assert.equal(feed.watched, false);
  assert.equal(await next(watch), undefined);
});

Deno.test("watch() is gone when it is left", async () => {
  const source = new SteppedSource();
  source.proceed.resolve();
  const { feed, abort, watch } = start(source);
  await next(watch);
  assert.equal(feed.watched, true);
  await watch.return(undefined);
  assert.equal(feed.watched, false);
  abort.abort();
});

Deno.test("reset() gives a watcher a new snapshot", async () => {
  const source = new SteppedSource();
  source.proceed.resolve();
  source.entries = [change("a", 1, "01") as Entry];
  const { feed, abort, watch } = start(source);
  const snapshot = { kind: "snapshot", entries: [change("a", 1, "01")] };
  assert.deepEqual(await next(watch), snapshot);
  feed.publish([change("b", 2, "02")]);
  const waiting = next(watch);
  assert.equal((await waiting)?.kind, "changes");
  const second = next(watch);
  feed.reset();
  assert.deepEqual(await second, snapshot);
  abort.abort();
});

Deno.test("publish() keeps a backlog up to its bound, and then a snapshot instead", async () => {
  const source = new SteppedSource();
  source.proceed.resolve();
  const { feed, abort, watch } = start(source);
  await next(watch);
  const publish = (count: number) => {
    for (let i = 0; i < count; i++) feed.publish([change(`${i}`, i, `${i}`)]);
  };
  publish(MAX_BACKLOG);
  const backlog = await next(watch);
  assert.equal(backlog?.kind, "changes");
  assert.equal(backlog.changes.length, MAX_BACKLOG);
  publish(MAX_BACKLOG + 1);
  assert.equal((await next(watch))?.kind, "snapshot");
  abort.abort();
});

Deno.test("end() ends every watch, and its backlog with it", async () => {
  const source = new SteppedSource();
  source.proceed.resolve();
  const { feed, watch } = start(source);
  await next(watch);
  feed.publish([change("a", 1, "01")]);
  feed.end();
  assert.equal(await next(watch), undefined);
});

Deno.test("reset() while a snapshot is taken has it taken again: it is of one moment", async () => {
  const source = new SteppedSource();
  const { feed, abort, watch } = start(source);
  const snapshot = next(watch);
  await source.listing.promise;
  source.entries = [change("torn", 1, "01") as Entry];
  source.commits = source.settling.promise.then(() => {
    feed.reset();
    source.commits = Promise.resolve();
    source.entries = [change("whole", 2, "02") as Entry];
  });
  source.proceed.resolve();
  assert.deepEqual(await snapshot, {
    kind: "snapshot",
    entries: [change("whole", 2, "02")],
  });
  feed.publish([change("new", 3, "03")]);
  assert.deepEqual(await next(watch), {
    kind: "changes",
    changes: [change("new", 3, "03")],
  });
  abort.abort();
});
