import assert from "node:assert/strict";
import { EventLog } from "../../src/cluster/recorder.ts";
import type { ClusterHappening } from "../../src/cluster/plan/events.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FaultyStore } from "../fake/faulty_store.ts";

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
