import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ClusterServiceWatchResponseSchema,
  EventSchema,
} from "../../../../src/gen/stellar/net/v1/cluster_pb.ts";
import {
  addEvents,
  applyMessage,
  dropParts,
  MAX_EVENTS,
  NO_WATCH,
  type WatchState,
} from "../../../../src/ui/page/plan/cluster_view.ts";

type Message = MessageInitShape<typeof ClusterServiceWatchResponseSchema>;

function host(name: string, version = "1") {
  return { node: { name }, report: { version } };
}

function event(second: number, text = "") {
  return create(EventSchema, { at: timestampFromMs(second * 1_000), text });
}

function apply(messages: readonly Message[], from = NO_WATCH): WatchState {
  return messages.reduce(
    (state: WatchState, message) =>
      applyMessage(state, create(ClusterServiceWatchResponseSchema, message)),
    from,
  );
}

function hostsOf({ view }: WatchState): string {
  return [...view?.hosts ?? []]
    .map(([name, { report }]) => `${name}:${report?.version}`).join(" ");
}

Deno.test("applyMessage() keeps the hosts of the cluster", async (t) => {
  const SNAPSHOT = {
    snapshot: true,
    hosts: [host("b"), host("d")],
    revision: "1",
  };
  const rows: readonly [
    name: string,
    messages: readonly Message[],
    hosts: string,
  ][] = [
    ["a snapshot", [SNAPSHOT], "b:1 d:1"],
    ["a part of a snapshot shows nothing", [{ ...SNAPSHOT, more: true }], ""],
    ["a snapshot in parts", [
      { ...SNAPSHOT, revision: "", more: true },
      { snapshot: true, hosts: [host("e")] },
    ], "b:1 d:1 e:1"],
    ["a snapshot replaces the hosts", [SNAPSHOT, {
      snapshot: true,
      hosts: [host("c")],
    }], "c:1"],
    ["the part of a new snapshot changes nothing yet", [SNAPSHOT, {
      snapshot: true,
      more: true,
      hosts: [host("c")],
    }], "b:1 d:1"],
    ["a host changes", [SNAPSHOT, { hosts: [host("d", "2")] }], "b:1 d:2"],
    ["hosts stay in the order of names", [SNAPSHOT, {
      hosts: [host("c"), host("a")],
    }], "a:1 b:1 c:1 d:1"],
    ["a host goes", [SNAPSHOT, { removedHosts: ["b"] }], "d:1"],
    ["a host goes and comes", [SNAPSHOT, {
      removedHosts: ["b"],
      hosts: [host("b", "2")],
    }], "b:2 d:1"],
  ];
  for (const [name, messages, hosts] of rows) {
    await t.step(name, () => assert.equal(hostsOf(apply(messages)), hosts));
  }
});

Deno.test("applyMessage() keeps the summary until another one comes", () => {
  const first = apply([
    { snapshot: true, summary: { verdict: "all well" }, revision: "1" },
    { hosts: [host("a")], asOf: timestampFromMs(5_000), revision: "2" },
  ]);
  assert.equal(first.view?.verdict, "all well");
  assert.equal(first.view?.asOfMs, 5_000);
  assert.equal(first.revision, "2");
  const second = apply([{ summary: { verdict: "1 problem" } }], first);
  assert.equal(second.view?.verdict, "1 problem");
  assert.equal(second.view?.asOfMs, 5_000);
  assert.equal(hostsOf(second), "a:1");
});

Deno.test("dropParts() forgets what a stream left unfinished", () => {
  const whole = apply([{ snapshot: true, hosts: [host("a")], revision: "1" }]);
  const cut = apply([{ more: true, removedHosts: ["a"] }], whole);
  assert.equal(cut.revision, "1");
  const resumed = apply([{ hosts: [host("b")] }], dropParts(cut));
  assert.equal(hostsOf(resumed), "a:1 b:1");
});

Deno.test("events are kept once each, the latest first, up to a bound", () => {
  const { view } = apply([
    { snapshot: true, events: [event(1), event(3)] },
    { events: [event(2), event(3), event(3, "other")] },
  ]);
  const merged = addEvents(view!, [event(1), event(0)]);
  assert.deepEqual(
    merged.events.map(({ at, text }) => `${at?.seconds}${text}`),
    ["3", "3other", "2", "1", "0"],
  );
  const many = Array.from({ length: MAX_EVENTS }, (_, i) => event(i + 10));
  const full = addEvents(merged, many);
  assert.equal(full.events.length, MAX_EVENTS);
  assert.equal(full.events.at(-1)?.at?.seconds, 10n);
});
