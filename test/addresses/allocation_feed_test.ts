import assert from "node:assert/strict";
import { AllocationFeed } from "../../src/addresses/allocation_feed.ts";
import type { Allocation } from "../../src/addresses/plan/allocation.ts";
import { HeldTimers } from "../support/held_timers.ts";
import { SteadyClock } from "../support/steady_clock.ts";
import { waitFor } from "../support/wait_for.ts";
import { owner } from "./plan/pools.ts";

function allocation(container: string, more: Partial<Allocation> = {}) {
  return {
    ...{ id: `id of ${container}`, owner: owner(container), addresses: [] },
    ...{ allocatedAtMs: 0, requested: false },
    ...more,
  };
}

const names = (list: readonly { owner: { containerId: string } }[]) =>
  list.map(({ owner }) => owner.containerId);

Deno.test("AllocationFeed.since() returns the last change of each owner, as long as it remembers", () => {
  const feed = new AllocationFeed();
  const hold = (name: string) =>
    feed.record([{ kind: "hold", allocation: allocation(name) }]);
  hold("a");
  const first = feed.revisionAt(feed.head);
  hold("b");
  feed.record([{
    ...{ kind: "release" as const, allocation: allocation("b") },
    ...{ releasedAtMs: 1, reason: "" },
  }]);
  hold("c");
  const changes = feed.since(feed.positionOf(first)!)!;
  assert.deepEqual(names(changes.allocations), ["c"]);
  assert.deepEqual(names(changes.removed), ["b"]);
  for (
    const other of ["", "x", "x.1", `${first}9`, first.replace(".1", ".-1")]
  ) {
    assert.equal(feed.positionOf(other), undefined, other);
  }
  assert.equal(new AllocationFeed().positionOf(first), undefined);
  for (let i = 0; i < 20_000; i++) hold(`d${i % 10}`);
  assert.equal(feed.positionOf(first), undefined);
  assert.equal(feed.since(1), undefined);
  assert.ok(feed.positionOf(feed.revisionAt(feed.head)));
});

Deno.test("AllocationFeed.compare() finds changes of another process", () => {
  const feed = new AllocationFeed();
  feed.compare([allocation("a"), allocation("b"), allocation("c")]);
  const start = feed.head;
  feed.compare([
    allocation("a"),
    allocation("b", { id: "another" }),
    allocation("d", { renewals: 1 }),
  ]);
  const changes = feed.since(start)!;
  assert.deepEqual(names(changes.allocations), ["b", "d"]);
  assert.deepEqual(names(changes.removed), ["c"]);
  const head = feed.head;
  // A keep-alive is no change.
  feed.compare([
    allocation("a"),
    allocation("b", { id: "another" }),
    allocation("d", { renewals: 2 }),
  ]);
  assert.equal(feed.head, head);
});

Deno.test("AllocationFeed.moved() resolves at a change, at once where there was one, and at the end", async () => {
  const feed = new AllocationFeed();
  const end = new AbortController();
  const waiting = { ms: 60_000, signal: end.signal };
  const moved = feed.moved(0, waiting);
  feed.record([{ kind: "hold", allocation: allocation("a") }]);
  await moved;
  await feed.moved(0, waiting);
  const last = feed.moved(1, waiting);
  end.abort();
  await last;
});

Deno.test("AllocationFeed.follow() looks at a shared store every second, and reports progress every ten", async () => {
  using clock = new SteadyClock();
  using timers = new HeldTimers(1_000);
  const held = [allocation("a")];
  const end = new AbortController();
  let reads = 0;
  const events = new AllocationFeed().follow({
    ...{ from: "", isShared: true, signal: end.signal },
    read: (see) => (reads++, Promise.resolve(see([...held]))),
  });
  /** The next event, and the seconds until it. */
  const next = async () => {
    let seconds = 0;
    let isThere = false;
    const event = events.next().finally(() => isThere = true);
    while (!isThere) {
      await waitFor("the next second", () => timers.areHeld || isThere);
      if (isThere) break;
      seconds++;
      clock.nowMs += 1_000;
      timers.fire();
    }
    const { value } = await event;
    return [value!.kind, names(value!.allocations), seconds];
  };
  assert.deepEqual(await next(), ["snapshot", ["a"], 0]);
  assert.deepEqual(await next(), ["progress", [], 10]);
  assert.equal(reads, 11);
  held.push(allocation("b"));
  assert.deepEqual(await next(), ["changes", ["b"], 1]);
  assert.deepEqual(await next(), ["progress", [], 10]);
  end.abort();
  assert.equal((await events.next()).done, true);
});
