import assert from "node:assert/strict";
import { findWay, readGraph } from "./support/module_graph.ts";

/** What is large, where it is loaded with a face, and why not elsewhere. */
const ROWS: readonly {
  readonly packages: readonly string[];
  /** Loaded with it: that shows that the way would be found. */
  readonly with: string;
  readonly without: readonly string[];
  readonly why: string;
}[] = [{
  packages: ["npm:pkijs", "npm:asn1js"],
  with: "src/security/node_identity.ts",
  without: ["main.ts", "src/main/agent.ts", "src/main/plugin.ts"]
    .concat("src/main/command_line.ts", "src/api/server/server.ts")
    .concat("src/agent/agent.ts", "src/security/identity_registry.ts"),
  why: "who needs no certificate does without 17 MB",
}];

Deno.test("no module is loaded with a face that only few need", async (t) => {
  for (const { packages, without, why, ...row } of ROWS) {
    const graph = await readGraph([row.with, ...without]);
    for (const to of packages) {
      await t.step(`${row.with} loads ${to}`, () => {
        assert.ok(findWay(graph, { from: row.with, to }));
      });
      for (const from of without) {
        await t.step(`${from} loads no ${to}: ${why}`, () => {
          assert.equal(findWay(graph, { from, to })?.join(" > "), undefined);
        });
      }
    }
  }
});
