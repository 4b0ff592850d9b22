import assert from "node:assert/strict";
import { parseExposition, valuesOf } from "./exposition.ts";
import { missingIn } from "./promql.ts";

const TEXT = `# HELP stellar_net_routes x
# TYPE stellar_net_routes gauge
stellar_net_routes{state="installed"} 3
stellar_net_routes{state="a\\"b, c"} 1e3
stellar_net_rpc_calls_total{method="Info",code="OK"} 2

process_open_fds 12
`;

Deno.test("parseExposition() reads names, labels and values", () => {
  assert.deepEqual(parseExposition(TEXT), [
    { name: "stellar_net_routes", labels: { state: "installed" }, value: 3 },
    {
      name: "stellar_net_routes",
      labels: { state: 'a\\"b, c' },
      value: 1000,
    },
    {
      name: "stellar_net_rpc_calls_total",
      labels: { method: "Info", code: "OK" },
      value: 2,
    },
    { name: "process_open_fds", labels: {}, value: 12 },
  ]);
  assert.throws(() => parseExposition("a b c"), /Cannot read the metrics: a b/);
  assert.deepEqual(valuesOf(TEXT, "process_open_fds"), { "": 12 });
});

Deno.test("missingIn() names what a query reads and is not there", async (t) => {
  const rows: readonly [query: string, missing: readonly string[]][] = [
    ["process_open_fds", []],
    ['stellar_net_routes{state="installed"} > 0', []],
    ['stellar_net_routes{state=~"installed|x",instance="a"}', []],
    ['stellar_net_routes{state="gone"}', ['stellar_net_routes{state="gone"}']],
    ['stellar_net_routes{kind="a"}', ['stellar_net_routes{kind="a"}']],
    ["stellar_net_nothing + process_open_fds", ["stellar_net_nothing"]],
    ['stellar_net_rpc_calls_total{code="Internal"}', []],
    ["sum by (job, method) (stellar_net_rpc_calls_total)", []],
    ["sum by (state) (stellar_net_rpc_calls_total)", ["label state"]],
    ["vector(1)", ["a metric"]],
  ];
  for (const [query, missing] of rows) {
    await t.step(query, () => {
      assert.deepEqual(missingIn(query, parseExposition(TEXT)), missing);
    });
  }
});
