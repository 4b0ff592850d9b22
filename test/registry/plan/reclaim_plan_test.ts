import assert from "node:assert/strict";
import {
  planReclaim,
  type WatchedNode,
} from "../../../src/registry/plan/reclaim_plan.ts";

const AFTER_MS = 60_000;

/** Nodes with their silence in seconds; "-" stands for a node that is alive. */
function nodes(text: string): WatchedNode[] {
  return text.split(" ").map((silence, i) => ({
    name: `n${i}`,
    isAlive: silence === "-",
    silentMs: silence === "-" ? 0 : Number(silence) * 1000,
  }));
}

const CASES: readonly [
  name: string,
  nodes: string,
  removed: number,
  remove: string,
  pending: string,
  held: string,
][] = [
  ["all alive", "- - -", 0, "", "", ""],
  ["silent for a while", "- 20 -", 0, "", "n1 40", ""],
  ["a moment before", "- 59.999 -", 0, "", "n1 0.001", ""],
  ["silent for long enough", "- 60 -", 0, "n1", "", ""],
  [
    "the longest silent first",
    "70 - 80 - 20 30 - -",
    0,
    "n2 n0",
    "n5 30 n4 40",
    "",
  ],
  ["the only other node", "60", 0, "", "", "n0"],
  ["all nodes", "60 20", 0, "", "n1 40", "n0"],
  ["as many as allowed", "60 60 60 - - -", 0, "n0 n1 n2", "", ""],
  ["one more", "60 60 60 61 - - - -", 0, "n3 n0 n1", "", "n2"],
  ["some removed before", "60 60 - - -", 2, "n0", "", "n1"],
  ["enough removed before", "60 20 - - -", 3, "", "n1 40", "n0"],
  ["more removed before", "60 - - -", 9, "", "", "n0"],
  ["half of the nodes", "60 60 60 20 - - - -", 0, "n0 n1 n2", "n3 40", ""],
  ["most nodes", "60 60 60 20 - - -", 0, "", "n3 40", "n0 n1 n2"],
  ["most of few nodes", "60 60 60 -", 0, "n0 n1 n2", "", ""],
];

Deno.test("planReclaim() removes a few nodes that were silent for long, and none when most are", async (t) => {
  for (const [name, text, removed, remove, pending, held] of CASES) {
    await t.step(name, () => {
      const plan = planReclaim({
        nodes: nodes(text),
        afterMs: AFTER_MS,
        removed,
      });
      assert.deepEqual({
        remove: plan.remove.join(" "),
        pending: plan.pending
          .map(({ node, inMs }) => `${node} ${inMs / 1000}`).join(" "),
        held: plan.held.join(" "),
      }, { remove, pending, held });
    });
  }
});
