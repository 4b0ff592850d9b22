import assert from "node:assert/strict";
import {
  HostEvents,
  type HostObservation,
} from "../../src/cluster/host_events.ts";
import {
  type AgentCluster,
  LateCluster,
} from "../../src/main/agent_cluster.ts";
import { Journal } from "../../src/cluster/journal.ts";
import type { HostHappening } from "../../src/cluster/plan/events.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { waitFor } from "../support/wait_for.ts";
import { REPORT } from "./plan/reports.ts";

const NOW_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;

const HEALTHY: HostObservation = {
  report: REPORT,
  repairs: 0,
  certificate: { notBeforeMs: NOW_MS, notAfterMs: NOW_MS + 10 * DAY_MS },
};

function problem(code: string) {
  return { code, severity: "error" as const, text: code, fix: "" };
}

Deno.test("HostEvents records each event once, also over a restart", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let nowMs = NOW_MS;
  let uptimeMs = 0;
  let observed = HEALTHY;
  const recorded: HostHappening[] = [];
  const open = () =>
    HostEvents.open({
      ...{ node: "a", store, now: () => nowMs, uptimeMs: () => uptimeMs },
      observe: () => Promise.resolve(observed),
      record(events, seen) {
        recorded.push(...events);
        return store.commit({ puts: [seen] });
      },
    });
  let host = await open();
  const look = async (change: Partial<HostObservation> = {}) => {
    observed = { ...observed, ...change };
    await host.look();
    return recorded.splice(0).map(({ kind }) => kind);
  };
  const lost = { ...REPORT, problems: [problem("registry-unreachable")] };
  // It has just started, and looks for the registry.
  assert.deepEqual(await look({ report: lost }), []);
  uptimeMs += 29_999;
  assert.deepEqual(await look({ report: REPORT }), []);
  uptimeMs += 1;
  // A clock that was set back lets no start last longer.
  nowMs -= 3_600_000;
  assert.deepEqual(await look({ report: lost }), ["registry lost"]);
  assert.deepEqual(await look({ repairs: 3 }), ["route repaired"]);
  assert.deepEqual(await look(), []);
  const warned = { ...problem("host"), text: "--insecure: no TLS" };
  const both = { ...lost, problems: [...lost.problems, warned] };
  assert.deepEqual(await look({ report: both }), ["problem"]);
  assert.deepEqual(await look({ report: lost }), ["solved"]);
  // The agent restarts while the registry is still away.
  host = await open();
  const restarted = { ...both, startedAtMs: 2 };
  assert.deepEqual(await look({ report: restarted, repairs: 0 }), [
    "restarted",
  ]);
  assert.deepEqual(await look({ report: { ...REPORT, startedAtMs: 2 } }), [
    "registry found",
  ]);
  nowMs += 8.1 * DAY_MS;
  assert.deepEqual(await look(), ["certificate expiring"]);
  host = await open();
  assert.deepEqual(await look(), []);
  const renewed = { notBeforeMs: nowMs, notAfterMs: nowMs + 10 * DAY_MS };
  assert.deepEqual(await look({ certificate: renewed }), [
    "certificate renewed",
  ]);
  await store.close();
});

Deno.test("HostEvents and Journal record an event once, wherever the agent crashes", async (t) => {
  const broken = {
    ...HEALTHY,
    report: { ...REPORT, problems: [problem("bridge-down")] },
  };
  for (let passed = 0; passed < 3; passed++) {
    await t.step(`after ${passed} commits`, async () => {
      const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
      const options = { store, now: () => NOW_MS };
      let observed = HEALTHY;
      const open = async () => {
        const journal = await Journal.open(options);
        const host = await HostEvents.open({
          ...{ node: "a", uptimeMs: () => NOW_MS, ...options },
          observe: () => Promise.resolve(observed),
          record: (events, seen) => journal.add(events, seen),
        });
        return { journal, host };
      };
      const first = await open();
      await first.host.look();
      await first.journal.stop();
      observed = broken;
      store.failAfter(passed, "refuse before");
      await first.host.look().catch(() => {});
      await first.journal.stop();
      store.mend();
      const next = await open();
      await next.host.look();
      await next.journal.stop();
      assert.deepEqual(
        (await Journal.open(options)).oldest.map(({ kind, subject }) =>
          `${kind} ${subject}`
        ),
        ["problem bridge-down"],
      );
      await store.close();
    });
  }
});

Deno.test("Journal keeps events until the registry has them, over a restart", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let nowMs = NOW_MS;
  const options = { store, now: () => nowMs };
  const journal = await Journal.open(options);
  const event = (subject: string): HostHappening => ({
    ...{ kind: "problem", node: "a", subject, text: `${subject} is broken` },
  });
  journal.add([event("one"), event("two")]);
  nowMs += 5_000;
  journal.add([event("three")]);
  await journal.stop();
  const again = await Journal.open(options);
  const subjects = (of: Journal) => of.oldest.map(({ subject }) => subject);
  assert.deepEqual(again.oldest, journal.oldest);
  assert.deepEqual(subjects(again), ["one", "two", "three"]);
  assert.deepEqual(again.oldest.map(({ atMs }) => atMs - NOW_MS), [
    0,
    0,
    5_000,
  ]);
  again.acknowledge(again.oldest[1]!.number);
  assert.deepEqual(subjects(again), ["three"]);
  // Numbers go on rising when the clock is set back.
  nowMs -= 3_600_000;
  again.add([event("four")]);
  await again.stop();
  const last = await Journal.open(options);
  assert.deepEqual(subjects(last), ["three", "four"]);
  // Also when none waits at the restart.
  const { number } = last.oldest.at(-1)!;
  last.acknowledge(number);
  await last.stop();
  nowMs -= 3_600_000;
  const empty = await Journal.open(options);
  empty.add([event("five")]);
  assert.ok(empty.oldest[0]!.number > number);
  await empty.stop();
  await store.close();
});

Deno.test("Journal.forget() leaves no event to the next registry, and goes on with its numbers", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let nowMs = NOW_MS;
  const options = { store, now: () => nowMs };
  const event: HostHappening = {
    ...{ kind: "problem", node: "a", subject: "x", text: "x is broken" },
  };
  const journal = await Journal.open(options);
  for (let i = 0; i < 20; i++) journal.add([event]);
  const { number } = journal.oldest[0]!;
  journal.forget();
  assert.deepEqual(journal.oldest, []);
  journal.add([event]);
  assert.deepEqual(journal.oldest, []);
  await journal.stop();
  const next = await Journal.open(options);
  assert.equal(next.oldest.length, 0);
  nowMs -= 3_600_000;
  next.add([event]);
  assert.ok(next.oldest[0]!.number >= number + 20);
  await next.stop();
  await store.close();
});

Deno.test("LateCluster.onLeft() forgets the events that wait, and onLeak() records an event of the host", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const journal = await Journal.open({ store, now: () => NOW_MS });
  const late = new LateCluster();
  // The agent cannot record anything before all its parts exist.
  late.onLeak("too early", "c0");
  late.onLeft();
  late.parts = {
    ...{ node: "a", journal },
    record: (events) => journal.add(events),
  } as AgentCluster;
  late.onLeak("The leaked addresses of c1 were released", "c1");
  assert.deepEqual(
    journal.oldest.map(({ kind, node, subject, text }) =>
      [kind, node, subject, text].join(" | ")
    ),
    ["leaks released | a | c1 | The leaked addresses of c1 were released"],
  );
  late.onLeft();
  assert.deepEqual(late.journal.oldest, []);
  await journal.stop();
  await store.close();
});

Deno.test("Journal is bounded, and works without its store", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const journal = await Journal.open({ store, now: () => NOW_MS });
  store.isDown = true;
  for (let i = 0; i < 600; i++) {
    const subject = `problem ${i}`;
    journal.add([{ kind: "problem", node: "a", subject, text: subject }]);
  }
  await journal.stop();
  assert.equal(journal.oldest[0]?.subject, "problem 100");
  assert.equal(journal.oldest.length, 16);
  await store.close();
});

Deno.test("HostEvents.look() records nothing of an observation that took longer than the one after it", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const answers: ((observed: HostObservation) => void)[] = [];
  const recorded: string[] = [];
  let nowMs = NOW_MS;
  const host = await HostEvents.open({
    ...{ node: "a", store, now: () => nowMs, uptimeMs: () => nowMs },
    observe: () => new Promise((resolve) => answers.push(resolve)),
    record: (events) => void recorded.push(...events.map(({ kind }) => kind)),
  });
  nowMs += 60_000;
  const first = host.look();
  await waitFor("the first", () => answers.length === 1);
  const second = host.look();
  const third = host.look();
  answers[0]!(HEALTHY);
  await first;
  await waitFor("the second", () => answers.length === 2);
  const lost = { ...REPORT, problems: [problem("registry-unreachable")] };
  answers[1]!({ ...HEALTHY, report: lost });
  await second;
  await waitFor("the third", () => answers.length === 3);
  answers[2]!({ ...HEALTHY, report: lost });
  await third;
  assert.deepEqual(recorded, ["registry lost"]);
  await store.close();
});
