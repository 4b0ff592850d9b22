import assert from "node:assert/strict";
import type { AgentStatus } from "../../src/agent/status.ts";
import { ReportSource } from "../../src/cluster/report_source.ts";
import type { Samples } from "../../src/cluster/samples.ts";
import type { Check } from "../../src/host/checks/check.ts";
import type { RouteReport } from "../../src/routes/report.ts";

const CHECK = { name: "packet filter", found: "a rule", means: "loss" };

Deno.test("ReportSource gives the command that fixes a fault of the host as a field of its own", async (t) => {
  const rows:
    readonly (readonly [Check, severity: string, text: string, fix: string])[] =
      [
        [
          {
            ...{ ...CHECK, status: "failed" },
            fix: { command: "nft delete rule x", harm: "its maker loses it" },
          },
          "error",
          "packet filter: a rule; loss; beware: its maker loses it",
          "nft delete rule x",
        ],
        [
          {
            ...{ ...CHECK, status: "warning" },
            fix: { command: "sysctl -w x=1" },
          },
          "warning",
          "packet filter: a rule; loss",
          "sysctl -w x=1",
        ],
        [
          { ...{ ...CHECK, status: "warning" }, fix: "install nftables" },
          "warning",
          "packet filter: a rule; loss; to fix it: install nftables",
          "",
        ],
      ];
  const link = {
    ...{ state: "hosted", sinceMs: 0, problem: "", url: "", urls: [] },
  };
  const status = { link, usage: [], leaked: 0, queued: 0 };
  for (const [check, severity, text, fix] of rows) {
    await t.step(text, async () => {
      const source = new ReportSource({
        agent: {
          status: () => Promise.resolve(status as unknown as AgentStatus),
        },
        samples: {} as Samples,
        routes: () => ({ routes: [] }) as unknown as RouteReport,
        ...{ warnings: () => [], faults: () => [check] },
        ...{ version: "", bootId: "" },
      });
      assert.deepEqual(await source.problems(), [
        { code: "host-network", severity, text, fix },
      ]);
    });
  }
});
