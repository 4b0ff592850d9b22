import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  HostSummarySchema,
  Severity,
} from "../../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../../../src/gen/stellar/net/v1/registry_pb.ts";
import { listHosts } from "../../../../src/ui/page/plan/host_list.ts";

const HOSTS = [
  {
    node: {
      ...{ name: "web-1", state: NodeState.READY },
      ...{ advertised: ["192.0.2.1"], subnets: ["172.16.0.0/22"] },
    },
    report: { subnets: [{ capacity: 100, held: 10n, cooling: 5n }] },
  },
  {
    node: { name: "Web-2", state: NodeState.READY, subnets: ["172.16.4.0/22"] },
    report: {
      subnets: [{ capacity: 100, held: 14n }],
      problems: [{ severity: Severity.ERROR }, { severity: Severity.WARNING }],
    },
  },
  { node: { name: "db", state: NodeState.UNREACHABLE } },
  { node: { name: "edge", state: NodeState.READY }, report: {} },
].map((host) => create(HostSummarySchema, host));

function list(options: Partial<Parameters<typeof listHosts>[1]>): string {
  return listHosts(HOSTS, {
    ...{ text: "", condition: undefined, sort: "name" },
    ...options,
  }).map(({ node }) => node?.name).join(" ");
}

Deno.test("listHosts() filters and sorts", async (t) => {
  const rows: readonly [
    name: string,
    options: Parameters<typeof list>[0],
    names: string,
  ][] = [
    ["all, by name", {}, "Web-2 db edge web-1"],
    ["a part of a name, in any case", { text: " WEB" }, "Web-2 web-1"],
    ["an address", { text: "192.0.2.1" }, "web-1"],
    ["a subnet", { text: "172.16.4" }, "Web-2"],
    ["nothing", { text: "nowhere" }, ""],
    ["a condition", { condition: "silent" }, "db"],
    ["a condition and a text", { condition: "well", text: "web" }, "web-1"],
    ["the worst first", { sort: "condition" }, "db Web-2 edge web-1"],
    ["the fullest first", { sort: "used" }, "web-1 Web-2 db edge"],
    ["most problems first", { sort: "problems" }, "Web-2 db edge web-1"],
  ];
  for (const [name, options, names] of rows) {
    await t.step(name, () => assert.equal(list(options), names));
  }
});
