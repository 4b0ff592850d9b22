import assert from "node:assert/strict";
import {
  diffObservations,
  diffReports,
  type Observation,
} from "../../../src/cluster/plan/events.ts";
import type { Report } from "../../../src/cluster/plan/report.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { REPORT } from "./reports.ts";

type State = "ready" | "unreachable" | "no agent";

function observe(
  nodes: Readonly<Record<string, readonly [State, ...string[]]>>,
  routes: Readonly<Record<string, string>> = {},
  { problems = {}, conflicts = {} }: {
    readonly problems?: Readonly<Record<string, string>>;
    readonly conflicts?: Readonly<Record<string, string>>;
  } = {},
): Observation {
  return {
    nodes: new Map(
      Object.entries(nodes).map(([name, [state, ...subnets]]) => [name, {
        ...{ name, state },
        subnets: subnets.map((cidr) => parsePrefix(cidr)),
        ...problems[name] !== undefined && { problem: problems[name] },
      }]),
    ),
    conflicts: new Map(
      Object.entries(conflicts).map(([cidr, node]) => [cidr, {
        ...{ node, reason: "docker0 has it" },
      }]),
    ),
    routes: new Map(
      Object.entries(routes).map(([destination, target]) => [destination, {
        destination,
        target,
      }]),
    ),
  };
}

Deno.test("diffObservations() names what happened between two observations", async (t) => {
  const A = "172.16.0.0/22";
  const B = "172.16.4.0/22";
  const rows: readonly [
    name: string,
    before: Observation,
    after: Observation,
    events: readonly string[],
  ][] = [
    ["nothing", observe({ a: ["ready", A] }), observe({ a: ["ready", A] }), []],
    ["a node joins", observe({}), observe({ a: ["ready", A] }), [
      "joined a",
      `subnet claimed ${A}`,
    ]],
    ["a node leaves", observe({ a: ["ready", A] }), observe({}), [
      `subnet returned ${A}`,
      "left a",
    ]],
    [
      "a node falls silent",
      observe({ a: ["ready", A] }),
      observe({ a: ["unreachable", A] }),
      ["unreachable a"],
    ],
    [
      "it comes back",
      observe({ a: ["unreachable", A] }),
      observe({ a: ["ready", A] }),
      ["back a"],
    ],
    [
      "a node gets another subnet while it is silent",
      observe({ a: ["unreachable", A] }),
      observe({ a: ["unreachable", A, B] }),
      [`subnet grown ${B}`],
    ],
    [
      "a node gets a subnet of another family",
      observe({ a: ["ready", A] }),
      observe({ a: ["ready", A, "fd00::/64"] }),
      ["subnet claimed fd00::/64"],
    ],
    [
      "the registry refuses the host of a node, and goes on refusing it",
      observe({ a: ["ready", A] }),
      observe({ a: ["ready", A] }, {}, { problems: { a: "a copy" } }),
      ["fenced a"],
    ],
    [
      "it still refuses it",
      observe({ a: ["ready", A] }, {}, { problems: { a: "a copy" } }),
      observe({ a: ["ready", A] }, {}, { problems: { a: "another copy" } }),
      [],
    ],
    [
      "a host uses a part of an owned subnet",
      observe({ a: ["ready", A] }),
      observe({ a: ["ready", A] }, {}, { conflicts: { [A]: "a" } }),
      [`subnet in conflict ${A}`],
    ],
    [
      "it still uses it",
      observe({}, {}, { conflicts: { [A]: "a" } }),
      observe({}, {}, { conflicts: { [A]: "a" } }),
      [],
    ],
    [
      "a subnet moves, in the order of the nodes",
      observe({ a: ["ready", A], b: ["ready"] }),
      observe({ a: ["ready"], b: ["ready", A] }),
      [`subnet returned ${A}`, `subnet claimed ${A}`],
    ],
    [
      "a route gets another target",
      observe({}, { "192.0.2.0/24": "198.18.0.1" }),
      observe({}, { "192.0.2.0/24": "198.18.0.2" }),
      ["route deleted 192.0.2.0/24", "route added 192.0.2.0/24"],
    ],
  ];
  for (const [name, before, after, events] of rows) {
    await t.step(name, () => {
      assert.deepEqual(
        diffObservations(before, after)
          .map(({ kind, subject }) => `${kind} ${subject}`),
        events,
      );
    });
  }
});

Deno.test("diffReports() names what happened on a host between two reports", async (t) => {
  const subnet = (held: number) => ({ ...REPORT.subnets[0]!, held });
  const problem = (code: string) => ({
    ...{ code, severity: "error" as const, text: code, fix: "" },
  });
  const path = (code: string, subject: string) => ({
    ...problem(code),
    subject,
  });
  const warning = (text: string) => ({
    ...{ code: "host", severity: "warning" as const, text, fix: "" },
  });
  const rows: readonly [
    name: string,
    before: Partial<Report> | undefined,
    after: Partial<Report>,
    events: readonly string[],
  ][] = [
    ["nothing", {}, {}, []],
    ["the first report of a healthy host", undefined, {}, []],
    ["an upgrade restarts the agent, once", {}, {
      version: "9.9.9",
      startedAtMs: 9,
    }, ["upgraded 9.9.9"]],
    ["a reboot restarts the agent, once", {}, {
      bootId: "other",
      startedAtMs: 9,
    }, ["restarted host"]],
    ["a restart", {}, { startedAtMs: 9 }, ["restarted agent"]],
    ["80 % of 1000", { subnets: [subnet(799)] }, { subnets: [subnet(800)] }, [
      "filling up 172.16.0.0/22",
    ]],
    ["from 80 to 89 %", { subnets: [subnet(800)] }, {
      subnets: [subnet(899)],
    }, []],
    ["from 80 to 90 %", { subnets: [subnet(899)] }, {
      subnets: [subnet(900)],
    }, ["filling up 172.16.0.0/22"]],
    ["full", { subnets: [subnet(999)] }, { subnets: [subnet(1000)] }, [
      "filling up 172.16.0.0/22",
    ]],
    ["a first report of a full host", undefined, { subnets: [subnet(1000)] }, [
      "filling up 172.16.0.0/22",
    ]],
    ["emptier again", { subnets: [subnet(1000)] }, {
      subnets: [subnet(10)],
    }, []],
    ["a problem", {}, { problems: [problem("x")] }, ["problem x"]],
    ["a lost registry", {}, { problems: [problem("registry-unreachable")] }, [
      "registry lost registry-unreachable",
    ]],
    ["a found registry", { problems: [problem("registry-unreachable")] }, {}, [
      "registry found registry-unreachable",
    ]],
    ["a route in conflict", {}, { problems: [problem("route-conflict")] }, [
      "route in conflict route-conflict",
    ]],
    ["that is solved", { problems: [problem("route-conflict")] }, {}, [
      "route repaired route-conflict",
    ]],
    ["a route without a next hop", {}, {
      problems: [problem("route-missing")],
    }, ["route unresolved route-missing"]],
    ["what the registry records", {}, { problems: [problem("fenced")] }, []],
    ["the same problem twice", {}, { problems: [problem("x"), problem("x")] }, [
      "problem x",
    ]],
    ["two warnings of the host", {}, {
      problems: [warning("a 1"), warning("b 1")],
    }, ["problem host", "problem host"]],
    ["a warning with another number", { problems: [warning("a 1")] }, {
      problems: [warning("a 2")],
    }, []],
    ["it stays", { problems: [problem("x")] }, {
      problems: [problem("x")],
    }, []],
    ["dead paths, to two peers", {}, {
      problems: [path("path-dead", "b"), path("path-dead", "c")],
    }, ["path dead b", "path dead c"]],
    [
      "a path that dies in place of losing packets",
      {
        problems: [path("path-lossy", "b")],
      },
      { problems: [path("path-dead", "b")] },
      ["path dead b"],
    ],
    [
      "one of two paths is alive again",
      {
        problems: [path("path-dead", "b"), path("path-narrow", "c")],
      },
      { problems: [path("path-narrow", "c")] },
      ["path alive b"],
    ],
    ["a path of which another share is lost", {
      problems: [path("path-lossy", "b")],
    }, {
      problems: [{ ...path("path-lossy", "b"), text: "another" }],
    }, []],
    ["it is solved", { problems: [problem("x"), problem("y")] }, {
      problems: [problem("y")],
    }, ["solved x"]],
  ];
  for (const [name, before, after, events] of rows) {
    await t.step(name, () => {
      const found = diffReports(
        "a",
        before && { ...REPORT, ...before },
        { ...REPORT, ...after },
      );
      assert.deepEqual(
        found.map(({ kind, subject }) => `${kind} ${subject}`),
        events,
      );
    });
  }
});
