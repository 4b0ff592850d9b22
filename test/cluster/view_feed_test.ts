import assert from "node:assert/strict";
import { EventLog } from "../../src/cluster/event_log.ts";
import { Reports } from "../../src/cluster/reports.ts";
import {
  GATHER_MS,
  type ViewChange,
  ViewFeed,
} from "../../src/cluster/view_feed.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { change, FakeFeed, node } from "./fake_feed.ts";
import { waitFor } from "../support/wait_for.ts";
import { REPORT } from "./plan/reports.ts";

const NOW_MS = 1_800_000_000_000;

/** Opens a ViewFeed over a fake registry feed. */
async function openFeed(
  { beforeSum = () => Promise.resolve() }: {
    readonly beforeSum?: () => Promise<void>;
  } = {},
) {
  const registry = new FakeFeed();
  const store = await openDenoKv({ path: ":memory:" });
  const now = () => NOW_MS;
  const events = new EventLog({ store, now, sequence: 0 });
  const reports = new Reports({ now });
  const asked: string[] = [];
  const feed = new ViewFeed({
    ...{ id: "feed", events, reports },
    watch: (signal) => registry.watch(signal),
    ask: ({ name }) => {
      asked.push(name);
      return Promise.resolve(undefined);
    },
    async summarize(hosts) {
      await beforeSum();
      return {
        verdict: hosts.map(({ node: { name } }) => name).sort().join(" "),
        ...{ problems: [], networks: [] },
      };
    },
  });
  return {
    ...{ feed, registry, events, reports, asked },
    async [Symbol.asyncDispose]() {
      feed.stop();
      await events.stop();
      await store.close();
    },
  };
}

function watch(feed: ViewFeed, from = "") {
  const stop = new AbortController();
  const changes = feed.watch({ from, signal: stop.signal });
  return {
    async next(): Promise<ViewChange> {
      const { value, done } = await changes.next();
      assert.ok(!done, "the watch has ended");
      return value;
    },
    async stop() {
      stop.abort();
      await changes.next();
    },
  };
}

function names({ hosts }: ViewChange): string[] {
  return hosts.map(({ node: { name } }) => name).sort();
}

Deno.test("ViewFeed sends a snapshot, then what has changed, gathered", async () => {
  await using opened = await openFeed();
  const { feed, registry, reports, asked } = opened;
  const watcher = watch(feed);
  const first = await watcher.next();
  assert.ok(first.isSnapshot);
  assert.deepEqual(names(first), ["a"]);
  assert.equal(first.summary?.verdict, "a");
  assert.ok(asked.includes("a"));
  const changed = watcher.next();
  registry.send(change({ nodes: [node("b")] }));
  registry.send(change({ nodes: [node("c")] }));
  reports.receive("b", REPORT);
  const second = await changed;
  assert.ok(!second.isSnapshot);
  assert.deepEqual(names(second), ["b", "c"]);
  assert.equal(second.hosts[0]?.received?.report, REPORT);
  assert.equal(second.summary?.verdict, "a b c");
  const gone = watcher.next();
  registry.send(change({ removedNodes: ["c"] }));
  const third = await gone;
  assert.deepEqual([names(third), third.removedHosts], [[], ["c"]]);
  await watcher.stop();
});

Deno.test("ViewFeed sends a returning watcher the changes that it missed", async () => {
  await using opened = await openFeed();
  const { feed, registry } = opened;
  const other = watch(feed);
  await other.next();
  const left = watch(feed);
  const { revision } = await left.next();
  await left.stop();
  registry.send(change({ nodes: [node("b")] }));
  await other.next();
  registry.send(
    change({ nodes: [node("b", "unreachable")], removedNodes: ["a"] }),
  );
  await other.next();
  const back = watch(feed, revision);
  const missed = await back.next();
  assert.ok(!missed.isSnapshot);
  assert.deepEqual([names(missed), missed.removedHosts], [["b"], ["a"]]);
  assert.equal(missed.hosts[0]?.node.state, "unreachable");
  assert.ok(!missed.hasMissedEvents);
  await back.stop();
  await other.stop();
});

Deno.test("ViewFeed restarts a watcher from a snapshot when it does not know its revision", async (t) => {
  await using opened = await openFeed();
  const first = watch(opened.feed);
  const { revision } = await first.next();
  const [id] = revision.split(".");
  for (const from of ["other.1", `${id}.99`, `${id}`, "nonsense", `${id}.-1`]) {
    await t.step(from, async () => {
      const watcher = watch(opened.feed, from);
      const change = await watcher.next();
      assert.deepEqual([change.isSnapshot, names(change)], [true, ["a"]]);
      assert.ok(change.hasMissedEvents);
      await watcher.stop();
    });
  }
  await first.stop();
});

Deno.test("ViewFeed keeps nothing for a slow watcher, which gets the latest state", async () => {
  await using opened = await openFeed();
  const { feed, registry } = opened;
  const slow = watch(feed);
  await slow.next();
  const fast = watch(feed);
  await fast.next();
  for (let i = 0; i < 3; i++) {
    const seen = fast.next();
    registry.send(
      change({ nodes: [node("b", i < 2 ? "unreachable" : "ready")] }),
    );
    await seen;
  }
  const { hosts } = await slow.next();
  assert.deepEqual(hosts.map(({ node: { state } }) => state), ["ready"]);
  await slow.stop();
  await fast.stop();
});

Deno.test("ViewFeed gathers one change at a time, even if it stops and starts again meanwhile", async () => {
  const sums: PromiseWithResolvers<void>[] = [];
  const beforeSum = () => {
    sums.push(Promise.withResolvers());
    return sums.at(-1)!.promise;
  };
  await using opened = await openFeed({ beforeSum });
  const { feed, registry } = opened;
  const first = watch(feed);
  const snapshot = first.next();
  await waitFor("the first change", () => sums.length === 1);
  sums[0]!.resolve();
  await snapshot;
  registry.send(change({ nodes: [node("b")] }));
  await waitFor("the second", () => sums.length === 2);
  feed.stop();
  await first.stop();
  const again = watch(feed);
  const back = again.next();
  await waitFor("the first for the other watcher", () => sums.length === 3);
  sums[1]!.resolve();
  await waitFor("its watch", () => registry.watchers === 1);
  registry.send(change({ nodes: [node("c")] }));
  await new Promise((resolve) => setTimeout(resolve, 2 * GATHER_MS));
  assert.equal(sums.length, 3, "the third is not over");
  sums[2]!.resolve();
  assert.ok((await back).isSnapshot);
  const next = again.next();
  await waitFor("the change after it", () => sums.length === 4);
  sums[3]!.resolve();
  assert.deepEqual(names(await next), ["c"]);
  await again.stop();
});

Deno.test("ViewFeed sends the events that are recorded from then on", async () => {
  await using opened = await openFeed();
  const { feed, events } = opened;
  const about = { node: "a", subject: "a", text: "it is back" };
  events.add([{ kind: "unreachable", ...about }]);
  await events.list({ node: "", limit: 1 });
  const watcher = watch(feed);
  const first = await watcher.next();
  assert.deepEqual(first.events, []);
  // An event of a host that was cut off has a time of its own.
  events.add([{ kind: "back", ...about }], NOW_MS - 60_000);
  let seen: ViewChange;
  do seen = await watcher.next(); while (seen.events.length === 0);
  assert.deepEqual(
    seen.events.map(({ kind, atMs }) => [kind, atMs]),
    [["back", NOW_MS - 60_000]],
  );
  const { revision } = seen;
  await watcher.stop();
  const again = watch(feed, revision);
  assert.deepEqual((await again.next()).events, []);
  await again.stop();
});
