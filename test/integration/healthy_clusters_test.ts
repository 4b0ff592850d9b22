import assert from "node:assert/strict";
import { CLUSTER_KINDS, HealthyCluster } from "../lab/healthy_clusters.ts";
import { allDone } from "../support/all_done.ts";

/** Rounds of each cluster; a container is replaced in each. */
const ROUNDS = 3;

Deno.test("a healthy cluster of each kind gives no warning", async (t) => {
  // Three labs at a time: more would wait for the processor.
  for (let at = 0; at < CLUSTER_KINDS.length; at += 3) {
    await allDone(
      CLUSTER_KINDS.slice(at, at + 3).map((kind) =>
        t.step({
          name: kind.name,
          sanitizeOps: false,
          sanitizeResources: false,
          sanitizeExit: false,
          fn: async () => {
            await using cluster = await HealthyCluster.create(kind);
            for (let round = 0; round < ROUNDS; round++) {
              await cluster.replace();
              assert.deepEqual(await cluster.complaints(), []);
            }
          },
        })
      ),
    );
  }
});
