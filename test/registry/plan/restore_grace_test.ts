import assert from "node:assert/strict";
import {
  planReserveForOwners,
  refuseNewSubnets,
} from "../../../src/registry/plan/restore_grace.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { Cluster } from "./clusters.ts";

const SETTLING = {
  takenAt: "2026-01-02T03:04:05Z",
  leftMs: 1_500,
  sinceMs: Date.parse("2026-01-02T04:00:00Z"),
};

Deno.test("refuseNewSubnets() lets nodes keep their subnets, and gives nobody more", async (t) => {
  const cluster = new Cluster(["10.0.0.0/24", 26]);
  assert.equal(cluster.claim("a"), "10.0.0.0/26");
  const rows: readonly [
    name: string,
    node: string,
    held: string[],
    subnets: string[],
    isRefused: boolean,
  ][] = [
    ["what it is known to have", "a", [], ["10.0.0.0/26"], false],
    ["what it says it has", "b", ["10.0.0.64/26"], ["10.0.0.64/26"], false],
    ["nothing", "b", [], [], false],
    ["a new one", "b", [], ["10.0.0.64/26"], true],
    ["another's", "b", [], ["10.0.0.0/26"], true],
    [
      "one more",
      "a",
      [],
      ["10.0.0.0/26", "10.0.0.64/26"],
      true,
    ],
  ];
  for (const [name, node, held, subnets, isRefused] of rows) {
    await t.step(name, () => {
      const refusal = refuseNewSubnets(cluster.state, {
        node,
        held: held.map((cidr) => parsePrefix(cidr)),
        subnets: subnets.map((cidr) => parsePrefix(cidr)),
      }, SETTLING);
      assert.equal(refusal?.code, isRefused ? "unavailable" : undefined);
      assert.equal(
        refusal?.message.endsWith("a new node gets one in 2 s") ?? false,
        isRefused,
      );
    });
  }
});

Deno.test("planReserveForOwners() reserves free subnets for their former owners, and leaves the others", () => {
  const cluster = new Cluster(["10.0.0.0/24", 26]);
  for (const node of ["a", "b", "c"]) cluster.claim(node);
  cluster.release("b");
  const owners = [
    ["x", "10.0.0.0/26"],
    ["b", "10.0.0.64/26"],
    ["c", "10.0.0.128/26"],
    ["new", "10.0.0.192/26"],
    ["stray", "192.0.2.0/26"],
  ].map(([node, cidr]) => ({ node: node!, subnet: parsePrefix(cidr!) }));
  const plan = planReserveForOwners(cluster.state, owners, {
    by: "c",
    nowMs: 7,
  });
  assert.equal(plan.kind, "planned");
  const reason = (node: string) =>
    `${node} had it before the registry was restored, says c`;
  assert.deepEqual(
    plan.kind === "planned" && plan.changes,
    [
      ["b", "10.0.0.64/26"],
      ["new", "10.0.0.192/26"],
    ].map(([node, cidr]) => ({
      kind: "subnet",
      subnet: parsePrefix(cidr!),
      record: {
        ...{ state: "reserved", node, reason: reason(node!), sinceMs: 7 },
        reportedBy: "c",
      },
    })),
  );
});
