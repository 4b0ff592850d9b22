import assert from "node:assert/strict";
import { EventLog } from "../../src/cluster/event_log.ts";
import { Recorder } from "../../src/cluster/recorder.ts";
import type { Observation } from "../../src/cluster/plan/events.ts";
import { Reports } from "../../src/cluster/reports.ts";
import { Requesters } from "../../src/cluster/requesters.ts";
import { Samples } from "../../src/cluster/samples.ts";
import { DAY_MS, HOUR_MS } from "../../src/cluster/plan/forecast.ts";
import type { ClusterHappening } from "../../src/cluster/plan/events.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Key, Store } from "../../src/store/store.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { change, FakeFeed, node } from "./fake_feed.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { waitFor } from "../support/wait_for.ts";
import { REPORT } from "./plan/reports.ts";

const NOW_MS = 1_800_000_000_000;

function startRecorder(
  store: Store,
  feed: FakeFeed,
  id: string,
  { isShared = true, beatIntervalMs = 5_000, conflicts = new Map() }: {
    readonly isShared?: boolean;
    readonly beatIntervalMs?: number;
    readonly conflicts?: Observation["conflicts"];
  } = {},
) {
  let nowMs = NOW_MS;
  const now = () => nowMs;
  // Of their own, so that no event overwrites another.
  const sequence = id === "one" ? 0 : 1_000_000;
  const events = new EventLog({ store, now, sequence });
  const reports = new Reports({ now });
  const requesters = new Requesters({ store, isShared, now });
  const recorder = new Recorder({
    ...{ id, store, isShared, events, reports, requesters, now },
    conflicts: () => Promise.resolve(new Map(conflicts)),
    watch: (signal) => feed.watch(signal),
    uptimeMs: () => performance.now() + nowMs - NOW_MS,
    beatIntervalMs,
  });
  return {
    ...{ reports, requesters, events },
    /** Lets time pass. */
    pass(ms: number): void {
      nowMs += ms;
    },
    async callers(): Promise<string[]> {
      const { events: found } = await events.list({ node: "", limit: 100 });
      return found.map(({ kind, by }) => `${kind} ${by}`);
    },
    async texts(): Promise<string[]> {
      const { events: found } = await events.list({ node: "", limit: 100 });
      return found.map(({ text }) => text);
    },
    async kinds(): Promise<string[]> {
      const { events: found } = await events.list({ node: "", limit: 100 });
      return found.map(({ kind, node }) => `${kind} ${node}`);
    },
    async stop() {
      await recorder.stop();
      await events.stop();
    },
  };
}

Deno.test("Recorder turns changes into events, and the first snapshot into none", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const feed = new FakeFeed();
  const recorder = startRecorder(store, feed, "one", { isShared: false });
  await waitFor("a watcher", () => feed.watchers === 1);
  feed.send(change({ nodes: [node("b")] }));
  feed.send(change({ nodes: [node("b", "unreachable")] }));
  await waitFor(
    "three events",
    async () => (await recorder.kinds()).length === 3,
  );
  recorder.reports.receive("b", REPORT);
  assert.deepEqual(await recorder.kinds(), [
    "unreachable b",
    "subnet claimed b",
    "joined b",
  ]);
  // It is alone, and writes no sign of life.
  assert.equal(await store.get(["recorder"]), null);
  feed.send(change({ removedNodes: ["b"] }));
  await waitFor(
    "the report of a node that left to be forgotten",
    () => recorder.reports.get("b") === undefined,
  );
  await recorder.stop();
  await store.close();
});

Deno.test("Recorder records that a node has grown and that its host is refused", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const feed = new FakeFeed();
  const recorder = startRecorder(store, feed, "one", { isShared: false });
  await waitFor("a watcher", () => feed.watchers === 1);
  const a = node("a");
  const grown = {
    ...a,
    subnets: [...a.subnets, parsePrefix("172.16.4.0/22")],
  };
  feed.send(change({ nodes: [grown] }));
  feed.send(change({ nodes: [{ ...grown, problem: "it is a copy" }] }));
  await waitFor(
    "two events",
    async () => (await recorder.kinds()).length === 2,
  );
  assert.deepEqual(await recorder.texts(), [
    "a is refused: it is a copy",
    "a also has the subnet 172.16.4.0/22",
  ]);
  assert.deepEqual(await recorder.kinds(), ["fenced a", "subnet grown a"]);
  await recorder.stop();
  await store.close();
});

Deno.test("Reports.receive() counts one report of a host a second", () => {
  let nowMs = NOW_MS;
  const reports = new Reports({ now: () => nowMs });
  const versions: string[] = [];
  reports.listen((node, _, { version }) => versions.push(`${node} ${version}`));
  const rows: readonly [afterMs: number, node: string, isCounted: boolean][] = [
    [0, "b", true],
    [999, "b", false],
    [0, "c", true],
    [1, "b", true],
    // The clock was set back.
    [-5_000, "b", true],
  ];
  for (const [i, [afterMs, node, isCounted]] of rows.entries()) {
    nowMs += afterMs;
    const report = { ...REPORT, version: `${i}` };
    assert.equal(reports.receive(node, report), isCounted, `row ${i}`);
  }
  assert.deepEqual(versions, ["b 0", "c 2", "b 3", "b 4"]);
  assert.equal(reports.get("b")?.report.version, "4");
});

Deno.test("Reports.confirm() confirms no other report than the present one", () => {
  let nowMs = NOW_MS;
  const reports = new Reports({ now: () => nowMs });
  assert.equal(reports.confirm("b", 7), false);
  reports.receive("b", REPORT, 7);
  nowMs += 20_000;
  assert.equal(reports.confirm("b", 8), false);
  assert.equal(reports.fresh("b"), undefined);
  // An older program does not say.
  for (const digest of [7, 0]) {
    nowMs += 20_000;
    assert.equal(reports.confirm("b", digest), true);
    assert.equal(reports.fresh("b")?.asOfMs, nowMs);
  }
});

Deno.test("of two recorders on one store, one records what both observe", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const feed = new FakeFeed();
  const one = startRecorder(store, feed, "one");
  await waitFor("its sign of life", async () => await store.get(["recorder"]));
  const two = startRecorder(store, feed, "two");
  await waitFor("two watchers", () => feed.watchers === 2);
  feed.send(change({ removedNodes: ["a"] }));
  await waitFor("the events", async () => (await one.kinds()).length >= 2);
  assert.deepEqual(await two.kinds(), ["left a", "subnet returned a"]);
  assert.equal((await store.get(["recorder"]))?.value, "one");
  await one.stop();
  await two.stop();
  await store.close();
});

/** Counts the looks for the sign of life of the recording agent. */
class LookedAtStore extends FaultyStore {
  looks = 0;

  override get(key: Key): ReturnType<Store["get"]> {
    if (key[0] === "recorder") this.looks++;
    return super.get(key);
  }
}

Deno.test("Recorder takes over with the events since the last but one sign of life, each once", async (t) => {
  const LEFT = { kind: "left" as const, node: "a", subject: "a", text: "" };
  const rows: readonly [
    name: string,
    recorded: readonly (typeof LEFT)[],
    recordedAtMs: number,
    events: readonly string[],
  ][] = [
    ["the other recorded none", [], 0, ["left a", "subnet returned a"]],
    ["it recorded one", [LEFT], 0, ["left a", "subnet returned a"]],
    ["one of long before", [LEFT], -60_000, [
      "left a",
      "left a",
      "subnet returned a",
    ]],
  ];
  for (const [name, recorded, recordedAtMs, expected] of rows) {
    await t.step(name, async () => {
      const store = new LookedAtStore(await openDenoKv({ path: ":memory:" }));
      const beat = () =>
        store.commit({ puts: [{ key: ["recorder"], value: "other" }] });
      const looked = async () => {
        const from = store.looks;
        await waitFor("two looks", () => store.looks >= from + 2);
      };
      await beat();
      const feed = new FakeFeed();
      const standby = startRecorder(store, feed, "two", {
        beatIntervalMs: 20,
      });
      await waitFor("a watcher", () => feed.watchers === 1);
      await looked();
      standby.reports.receive("a", REPORT);
      feed.send(change({ removedNodes: ["a"] }));
      await waitFor(
        "the change to be observed",
        () => standby.reports.get("a") === undefined,
      );
      standby.events.add(recorded, NOW_MS + recordedAtMs);
      // Its last sign of life: it has died before it saw the change.
      await beat();
      await looked();
      standby.pass(20_000);
      await waitFor(
        "the events",
        async () => (await standby.kinds()).length >= expected.length,
      );
      await standby.stop();
      assert.deepEqual((await standby.kinds()).sort(), expected);
      await store.close();
    });
  }
});

Deno.test("Recorder names the caller of a change, at whatever agent it was made", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const feed = new FakeFeed();
  const one = startRecorder(store, feed, "one");
  await waitFor("its sign of life", async () => await store.get(["recorder"]));
  const two = startRecorder(store, feed, "two");
  await waitFor("two watchers", () => feed.watchers === 2);
  await two.requesters.note("node a", "operator alice");
  feed.send(change({ removedNodes: ["a"] }));
  await waitFor("the events", async () => (await one.kinds()).length >= 2);
  one.pass(60_000);
  feed.send(change({ nodes: [node("a")] }));
  await waitFor("more events", async () => (await one.kinds()).length >= 4);
  // By then the request is old.
  assert.deepEqual((await one.callers()).sort(), [
    "joined ",
    "left operator alice",
    "subnet claimed ",
    "subnet returned operator alice",
  ]);
  await one.requesters.prune();
  const left = await Array.fromAsync(store.list(["requester"]));
  assert.deepEqual(left, []);
  await one.stop();
  await two.stop();
  await store.close();
});

Deno.test("Requesters.prune() removes every old request, however many there are", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let nowMs = NOW_MS;
  const requesters = new Requesters({
    store,
    isShared: true,
    now: () => nowMs,
  });
  for (let i = 0; i < 250; i++) {
    await requesters.note(`node host${i}`, "operator alice");
  }
  nowMs += 20_000;
  await requesters.note("node a", "operator alice");
  nowMs += 20_000;
  await requesters.prune();
  const left = await Array.fromAsync(store.list(["requester"]));
  assert.deepEqual(left.map(({ key }) => key[1]), ["node a"]);
  await store.close();
});

Deno.test("EventLog.take() takes each event of a host once, with its own time", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const open = () => new EventLog({ store, now: () => NOW_MS, sequence: 7 });
  const sent = (number: number, kind = "registry lost") => ({
    ...{ number, kind, subject: "registry-unreachable", text: "it is gone" },
    atMs: NOW_MS - 3_600_000 + number,
  });
  const list = async (events: EventLog) =>
    (await events.list({ node: "a", limit: 10 })).events
      .map(({ kind, atMs }) => `${kind} ${atMs - NOW_MS + 3_600_000}`);
  const events = open();
  assert.equal(await events.take("a", [sent(1), sent(2)]), 2);
  // The answer was lost: the host sends them again, with one more.
  assert.equal(await events.take("a", [sent(1), sent(2), sent(3)]), 3);
  // What hosts do not record is left out, and acknowledged.
  assert.equal(await events.take("a", [sent(4, "joined")]), 4);
  const expected = ["registry lost 3", "registry lost 2", "registry lost 1"];
  assert.deepEqual(await list(events), expected);
  await events.stop();
  // A registry that was restarted does not know what it had taken.
  const restarted = open();
  assert.equal(await restarted.take("a", [sent(2), sent(3)]), 3);
  assert.deepEqual(await list(restarted), expected);
  await restarted.stop();
  await store.close();
});

Deno.test("EventLog.take() acknowledges nothing that the store does not have", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const events = new EventLog({ store, now: () => NOW_MS, sequence: 7 });
  const event = {
    ...{ number: 1, kind: "registry lost", subject: "x", text: "it is gone" },
    atMs: NOW_MS,
  };
  store.isDown = true;
  assert.equal(await events.take("a", [event]), 0);
  store.isDown = false;
  assert.equal(await events.take("a", [event]), 1);
  const { events: found } = await events.list({ node: "a", limit: 10 });
  assert.equal(found.length, 1);
  await events.stop();
  await store.close();
});

Deno.test("EventLog.take() acknowledges what the store has while events of others come in", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const events = new EventLog({ store, now: () => NOW_MS, sequence: 7 });
  store.onCommit = () => {
    store.onCommit = () => {};
    events.add([problem("b", "bridge-down")]);
  };
  const event = {
    ...{ number: 1, kind: "problem", subject: "x", text: "it is gone" },
    atMs: NOW_MS,
  };
  assert.equal(await events.take("a", [event]), 1);
  await events.stop();
  await store.close();
});

Deno.test("EventLog.take() takes a bounded number of events a second of one host, and loses none of them", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let nowMs = NOW_MS;
  const events = new EventLog({ store, now: () => nowMs, sequence: 7 });
  const sent = Array.from({ length: 200 }, (_, i) => ({
    ...{
      number: i + 1,
      kind: "problem",
      subject: `x-${i}`,
      text: "it is gone",
    },
    atMs: NOW_MS,
  }));
  const takeNext = async (from: number) =>
    await events.take("a", sent.slice(from, from + 24));
  assert.equal(await takeNext(0), 24);
  assert.equal(await takeNext(24), 48);
  assert.equal(await takeNext(48), 64);
  assert.equal(await takeNext(64), 64);
  // Another host has a share of its own.
  assert.equal(await events.take("b", sent.slice(0, 24)), 24);
  nowMs += 1_000;
  assert.equal(await takeNext(64), 88);
  const { events: found } = await events.list({ node: "a", limit: 500 });
  assert.equal(found.length, 88);
  await events.stop();
  await store.close();
});

Deno.test("EventLog.list() pages through events, and selects by node and time", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const events = new EventLog({ store, now: () => NOW_MS, sequence: 3 });
  for (let i = 0; i < 10; i++) {
    events.add([
      {
        kind: "joined",
        node: i % 2 === 0 ? "a" : "b",
        subject: `${i}`,
        text: "",
      },
    ], NOW_MS + i);
  }
  const subjects: string[] = [];
  let after;
  for (let pages = 0; pages < 5; pages++) {
    const page = await events.list({
      ...{ node: "a", limit: 2 },
      ...after && { after },
    });
    subjects.push(...page.events.map(({ subject }) => subject));
    after = page.next;
    if (!after) break;
  }
  assert.deepEqual(subjects, ["8", "6", "4", "2", "0"]);
  const range = { sinceMs: NOW_MS + 3, untilMs: NOW_MS + 6 };
  const found = await events.list({ node: "", limit: 100, ...range });
  assert.deepEqual(found.events.map(({ subject }) => subject), ["5", "4", "3"]);
  assert.equal(found.next, undefined);
  await events.stop();
  await store.close();
});

Deno.test("EventLog.state() does not wait for a store that does not answer", async () => {
  const kv = await openDenoKv({ path: ":memory:" });
  const store = new FaultyStore(kv);
  const events = new EventLog({ store, now: () => NOW_MS, sequence: 0 });
  assert.deepEqual(await events.state(), { lastAtMs: undefined, waiting: 0 });
  const happening = { kind: "joined", node: "a", subject: "", text: "x" };
  events.add([happening as ClusterHappening], 7);
  await waitFor("the event", async () => (await events.state()).lastAtMs === 7);
  store.isDown = true;
  assert.equal((await events.state()).lastAtMs, 7);
  store.isDown = false;
  const answer = Promise.withResolvers<void>();
  store.beforeList = () => answer.promise;
  assert.equal((await events.state()).lastAtMs, 7);
  answer.resolve();
  await events.stop();
  await store.close();
});

Deno.test("Samples keep one count an hour over a restart, and drop old ones and lost subnets", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let nowMs = NOW_MS;
  const now = () => nowMs;
  const counted = (count: number, subject = "s") => ({
    ...{ subject, count, capacity: 1_000 },
  });
  let samples = await Samples.open({ store, now });
  for (let hour = 0; hour < 20 * 24; hour++) {
    await samples.take([counted(hour)]);
    // The first of an hour counts.
    await samples.take([counted(900)]);
    nowMs += HOUR_MS;
  }
  samples = await Samples.open({ store, now });
  const found = samples.forecast(counted(480));
  assert.equal(Math.round(found?.perDay ?? 0), 24);
  assert.ok((found?.basisMs ?? 0) <= 14 * DAY_MS);
  const keys = await Array.fromAsync(store.list(["sample"]));
  assert.ok(keys.length <= 14 * 24 + 1, `${keys.length} samples`);
  for (let i = 0; i < 3; i++) await samples.take([counted(1, "other")]);
  assert.deepEqual(
    (await Array.fromAsync(store.list(["sample"]))).map(({ key }) => key[1]),
    ["other"],
  );
  await store.close();
});

function problem(node: string, subject: string): ClusterHappening {
  return { kind: "problem", node, subject, text: `${subject} on ${node}` };
}

Deno.test("EventLog keeps the events of other hosts when one host makes thousands", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const open = () =>
    new EventLog({ store, now: () => 10_000, sequence: 1, maxEvents: 100 });
  const events = open();
  events.add([problem("host2", "bridge-down")], 9_000);
  events.add([{
    ...{ kind: "route added", node: "", subject: "192.0.2.0/24" },
    text: "The route was added",
  }], 9_001);
  for (let i = 0; i < 2_000; i++) {
    events.add([problem("host3", `noise-${i}`)], 9_002 + i % 500);
  }
  await events.stop();
  // An agent prunes when it starts.
  await open().stop();
  const left = await Array.fromAsync(store.list(["event"]));
  const count = (node: string) =>
    left.filter(({ value }) => Object(value).node === node).length;
  assert.deepEqual(
    { host2: count("host2"), host3: count("host3"), cluster: count("") },
    { host2: 1, host3: 10, cluster: 1 },
  );
  await store.close();
});
