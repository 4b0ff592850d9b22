import assert from "node:assert/strict";
import {
  type MemberReport,
  planRebuild,
} from "../../src/backup/rebuild_plan.ts";
import { createCarve } from "../../src/net/carve.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { type ClusterNode, ClusterView } from "../../src/registry/feed.ts";

/** A report: the snapshot's revision, its nodes' subnets, and what the member holds. */
function report(
  node: string,
  revision: number,
  nodes: Record<string, string>,
  { held = nodes[node] ?? "", clusterId = "k" } = {},
): MemberReport {
  const view = new ClusterView();
  view.apply({
    revision,
    isSnapshot: true,
    nodes: Object.entries(nodes).map(([name, cidr]): ClusterNode => ({
      name,
      ...{ advertised: [], apiUrl: `http://${name}`, joinedAtMs: 3 },
      ...{ state: "unreachable", seenAtMs: undefined },
      subnets: prefixes(cidr),
    })),
    ...{ routes: [], removedNodes: [], removedRoutes: [] },
  });
  return {
    ...{ node, view, held: prefixes(held), instanceId: `of ${node}` },
    config: {
      ...{ clusterId, createdAtMs: 1 },
      networks: [createCarve(parsePrefix("10.0.0.0/16"), 24)],
    },
  };
}

function prefixes(text: string) {
  return text.split(" ").filter((cidr) => cidr !== "").map(parsePrefix);
}

const A = "10.0.1.0/24";
const B = "10.0.2.0/24";
const C = "10.0.3.0/24";

/** Reports, the owner of each subnet, and the conflicts. */
const ROWS: readonly [
  name: string,
  reports: readonly MemberReport[],
  owners: Record<string, string>,
  conflicts: readonly string[],
][] = [
  [
    "two reports that agree",
    [
      report("a", 5, { a: A, b: B }),
      report("b", 5, { a: A, b: B }),
    ],
    { [A]: "a", [B]: "b" },
    [],
  ],
  [
    "an old snapshot lacks a node",
    [
      report("a", 5, { a: A }),
      report("b", 9, { a: A, b: B, c: C }),
    ],
    { [A]: "a", [B]: "b", [C]: "c" },
    [],
  ],
  [
    "an old snapshot has a node that was removed",
    [
      report("a", 5, { a: A, c: C }),
      report("b", 9, { a: A, b: B }),
    ],
    { [A]: "a", [B]: "b" },
    [],
  ],
  [
    "a member holds a subnet that no snapshot has yet",
    [
      report("a", 5, { a: A, b: "" }),
      report("b", 4, { b: "" }, { held: B }),
    ],
    { [A]: "a", [B]: "b" },
    [],
  ],
  [
    "an old snapshot has another owner",
    [
      report("a", 5, { a: A, c: B }),
      report("b", 9, { a: A, b: B }),
    ],
    { [A]: "a", [B]: "b" },
    ["10.0.2.0/24 b of b, c of a"],
  ],
  [
    "a member holds what the newest snapshot gives to another",
    [
      report("a", 5, { a: A }, { held: C }),
      report("b", 9, { a: A, b: B, c: C }),
    ],
    { [A]: "a", [B]: "b", [C]: "c" },
    ["10.0.3.0/24 c of b, a of a"],
  ],
  [
    "a member holds half of another's subnet",
    [
      report("a", 5, { a: A }, { held: "10.0.2.128/25" }),
      report("b", 9, { a: A, b: B }),
    ],
    { [A]: "a", [B]: "b" },
    ["10.0.2.128/25 b of b, a of a"],
  ],
];

Deno.test("planRebuild() gives each subnet to one node, and names the conflicts", async (t) => {
  for (const [name, reports, owners, conflicts] of ROWS) {
    await t.step(name, () => {
      for (const given of [reports, reports.toReversed()]) {
        const plan = planRebuild(given, { own: undefined, nowMs: 7 });
        const found = plan.changes.map((change) => {
          assert.ok(change.kind === "subnet");
          assert.equal(change.record?.state, "reserved");
          return [formatPrefix(change.subnet), change.record.node];
        });
        assert.deepEqual(Object.fromEntries(found), owners);
        assert.equal(found.length, Object.keys(owners).length);
        assert.deepEqual(
          plan.summary.conflicts.map(({ subnet, kept, keptBy, node, by }) =>
            `${formatPrefix(subnet)} ${kept} of ${keptBy}, ${node} of ${by}`
          ),
          conflicts,
        );
        assert.equal(
          plan.revision,
          Math.max(...reports.map(({ view }) => view.revision)),
        );
      }
    });
  }
});

Deno.test("planRebuild() keeps the record of the member whose state it is", () => {
  const reports = [
    report("a", 5, { a: A, b: B }),
    report("b", 9, { a: A, b: B }),
  ];
  const { changes, summary } = planRebuild(reports, { own: "a", nowMs: 7 });
  assert.equal(summary.node, "a");
  assert.deepEqual(
    changes.map((change) =>
      change.kind === "subnet"
        ? `${change.record?.state} ${change.record?.node}`
        : change.kind === "node"
        ? `${change.record?.instanceId} ${change.record?.apiUrl} ${
          change.record?.subnets.map(formatPrefix)
        }`
        : change.kind
    ),
    ["owned a", "reserved b", `of a http://a ${A}`],
  );
});

Deno.test("planRebuild() refuses reports that do not go together", () => {
  const a = report("a", 5, { a: A });
  const options = { own: undefined, nowMs: 7 };
  const other = report("b", 5, { b: B }, { clusterId: "other" });
  assert.throws(() => planRebuild([a, other], options), {
    code: "failed_precondition",
    message: /a is of cluster k, and b of other/,
  });
  assert.throws(() => planRebuild([a, a], options), {
    code: "failed_precondition",
    message: /two reports of a; give only the newest/,
  });
});
