import assert from "node:assert/strict";
import { join } from "node:path";
import { Metrics } from "../../src/metrics/metrics.ts";
import { NetError } from "../../src/base/error.ts";
import { ROOT } from "../generate.ts";

Deno.test("docs/monitoring.md has every metric, and no other", async () => {
  const { text } = await new Metrics({}).format({
    agent: () => Promise.reject(new NetError("unavailable", "closed")),
    process: () =>
      Promise.resolve({
        startedAtMs: 0,
        cpuSeconds: 0,
        residentBytes: 0,
        heapBytes: 0,
        openFiles: undefined,
        maxFiles: undefined,
      }),
  });
  const names = [...text.matchAll(/^# TYPE stellar_net_(\w+) /gm)]
    .map(([, name]) => name!);
  const page = await Deno.readTextFile(join(ROOT, "docs/monitoring.md"));
  const table = page.split("## Metrics")[1]!.split("\n## ")[0]!;
  const first = [...table.matchAll(/^\| (`.+?) \|/gm)].map(([, cell]) => cell!);
  const told = first.flatMap((cell) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!)
  );
  assert.deepEqual(told.sort(), names.sort());
});
