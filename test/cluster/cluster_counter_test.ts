import assert from "node:assert/strict";
import { ClusterCounter } from "../../src/cluster/cluster_counter.ts";
import type { HostView } from "../../src/cluster/plan/overview.ts";
import { Reports } from "../../src/cluster/reports.ts";
import { createCarve } from "../../src/net/carve.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { REPORT } from "./plan/reports.ts";

Deno.test("ClusterCounter counts at once what is known, whatever the store and other hosts do", () => {
  const nodes: Pick<HostView, "name" | "state">[] = [];
  let nowMs = 0;
  const reports = new Reports({ now: () => nowMs });
  const counter = new ClusterCounter({
    ...{ reports, nodes: () => nodes },
    networks: () => [createCarve(parsePrefix("172.16.0.0/12"), 22)],
    forecast: () => undefined,
  });
  assert.equal(counter.count(), undefined);
  nodes.push({ name: "a", state: "ready" }, { name: "b", state: "ready" });
  reports.receive("a", REPORT);
  const early = counter.count();
  assert.deepEqual(early?.hosts, { ready: 2, unreachable: 0, "no agent": 0 });
  assert.equal(early?.withoutReport, 1);
  // The store has not answered yet, so the owned subnets are unknown.
  assert.deepEqual(early?.networks, []);
  counter.listed([{ subnet: parsePrefix("172.16.0.0/22"), state: "owned" }]);
  assert.equal(counter.count()?.networks[0]?.owned, 1);
  // Its heartbeats may go to another agent of the registry by now.
  nowMs = 14_999;
  assert.equal(counter.count()?.withoutReport, 1);
  nowMs++;
  assert.equal(counter.count()?.withoutReport, 2);
  reports.confirm("a");
  assert.equal(counter.count()?.withoutReport, 1);
});
