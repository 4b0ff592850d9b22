import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  HostSummarySchema,
  Severity,
} from "../../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../../../src/gen/stellar/net/v1/registry_pb.ts";
import {
  type Condition,
  statusOf,
  useStep,
} from "../../../../src/ui/page/plan/host_status.ts";

type Host = MessageInitShape<typeof HostSummarySchema>;

const ERROR = { severity: Severity.ERROR };
const WARNING = { severity: Severity.WARNING };
const READY = { name: "a", state: NodeState.READY };

Deno.test("statusOf() tells the condition of a host", async (t) => {
  const rows: readonly [name: string, host: Host, condition: Condition][] = [
    ["no problem", { node: READY, report: {} }, "well"],
    ["a warning", { node: READY, report: { problems: [WARNING] } }, "warning"],
    ["an error behind a warning", {
      node: READY,
      report: { problems: [WARNING, ERROR] },
    }, "error"],
    ["no report", { node: READY }, "unknown"],
    ["a problem with its identity", {
      node: { ...READY, problem: "a second process" },
      report: {},
    }, "error"],
    ["silent, whatever its last report says", {
      node: { name: "a", state: NodeState.UNREACHABLE },
      report: {},
    }, "silent"],
    ["no agent", {
      node: { name: "a", state: NodeState.NO_AGENT },
    }, "no-agent"],
  ];
  for (const [name, host, condition] of rows) {
    await t.step(name, () => {
      const status = statusOf(create(HostSummarySchema, host));
      assert.equal(status.condition, condition);
    });
  }
});

Deno.test("statusOf() sums up the subnets of a host", () => {
  const status = statusOf(create(HostSummarySchema, {
    node: READY,
    report: {
      subnets: [
        { capacity: 1021, held: 5n, cooling: 1n },
        { capacity: 2 ** 64, held: 2n },
      ],
      problems: [WARNING],
    },
  }));
  assert.deepEqual(status, {
    ...{ name: "a", condition: "warning", problems: 1 },
    ...{ capacity: 1021 + 2 ** 64, held: 7, cooling: 1 },
  });
});

Deno.test("useStep() counts cooling addresses, and knows nothing without capacity", async (t) => {
  const rows: readonly [
    held: number,
    cooling: number,
    capacity: number,
    step: number | undefined,
  ][] = [
    [0, 0, 0, undefined],
    [0, 0, 100, 0],
    [24, 0, 100, 0],
    [24, 1, 100, 1],
    [50, 0, 100, 2],
    [75, 0, 100, 3],
    [89, 0, 100, 3],
    [0, 90, 100, 4],
    [100, 0, 100, 4],
  ];
  for (const [held, cooling, capacity, step] of rows) {
    await t.step(`${held} and ${cooling} of ${capacity}`, () => {
      const status = { ...{ held, cooling, capacity }, problems: 0 };
      assert.equal(useStep({ name: "", condition: "well", ...status }), step);
    });
  }
});
