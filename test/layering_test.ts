import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { ROOT } from "./generate.ts";
import { walkFiles } from "./support/files.ts";
import {
  covers,
  CRYPTO,
  findCycles,
  folderOf,
  forbids,
  impureNames,
  PURE,
} from "./support/layers.ts";
import { readGraph } from "./support/module_graph.ts";

Deno.test("forbids() tells allowed imports from forbidden ones", async (t) => {
  const rows: readonly [from: string, to: string, why: RegExp | undefined][] = [
    ["main.ts", "src/agent/agent.ts", /picks the face, nothing else/],
    ["src/main/agent.ts", "src/store/deno_kv/deno_kv.ts", undefined],
    ["src/main/agent.ts", "npm:commander", /it builds adapters/],
    ["src/base/error.ts", "src/net/address.ts", undefined],
    ["src/base/error.ts", "src/system/command.ts", /everything stands on it/],
    ["src/net/prefix.ts", "src/net/address.ts", undefined],
    ["src/net/address.ts", "npm:ipaddr.js", undefined],
    ["src/net/address.ts", "npm:ipaddr.js-fork", /it is arithmetic/],
    ["src/net/address.ts", "src/base/error.ts", /it is arithmetic/],
    ["src/net/address.ts", "src/network/x.ts", /it is arithmetic/],
    ["src/net/address.ts", "node:net", /it is arithmetic/],
    ["src/config/config.ts", "src/routes/report.ts", /flags' values/],
    ["src/addresses/plan/allocation_plan.ts", "src/base/error.ts", undefined],
    ["src/addresses/plan/allocation_plan.ts", "src/net/prefix.ts", undefined],
    [
      "src/addresses/plan/allocation_plan.ts",
      "src/registry/plan/x.ts",
      /it is pure/,
    ],
    [
      "src/addresses/plan/allocation_plan.ts",
      "src/store/store.ts",
      /it is pure/,
    ],
    ["src/registry/plan/cluster_plan.ts", "npm:@logtape/logtape", /it is pure/],
    ["src/routes/plan/diff.ts", "node:child_process", /it is pure/],
    ["src/host/plan/host_plan.ts", "src/routes/plan/route_plan.ts", undefined],
    ["src/cni/text/result.ts", "src/gen/x_pb.ts", /it is pure/],
    ["src/store/store.ts", "src/ledger/ledger.ts", /engines below it/],
    ["src/ledger/ledger.ts", "src/store/store.ts", undefined],
    ["src/state/schema.ts", "src/registry/plan/cluster_state.ts", undefined],
    ["src/state/schema.ts", "src/registry/registry.ts", /engines below it/],
    ["src/store/store.ts", "src/store/deno_kv/deno_kv.ts", /builds adapters/],
    ["src/store/deno_kv/deno_kv.ts", "src/store/store.ts", undefined],
    [
      "src/store/etcd/etcd.ts",
      "src/registry/plan/cluster_plan.ts",
      /its engine/,
    ],
    ["src/system/netns.ts", "src/system/files.ts", /builds adapters/],
    ["src/agent/daemon.ts", "src/system/command.ts", undefined],
    ["src/agent/daemon.ts", "src/system/deno_command.ts", /builds adapters/],
    ["src/routes/ip_routes.ts", "src/agent/agent.ts", /features below it/],
    ["src/routes/reconciler.ts", "src/routes/ip_routes.ts", /builds adapters/],
    [
      "src/registry/registry.ts",
      "src/registry/plan/cluster_plan.ts",
      undefined,
    ],
    ["src/registry/registry.ts", "src/member/member.ts", /features below it/],
    ["src/registry/registry.ts", "src/store/store.ts", undefined],
    ["src/registry/registry.ts", "src/gen/x_pb.ts", /features below it/],
    ["src/registry/registry.ts", "npm:@connectrpc/connect", /a feature knows/],
    ["src/security/pki/token.ts", "node:crypto", undefined],
    ["src/security/pki/token.ts", "node:tls", /cryptography over values/],
    ["src/security/pki/token.ts", "src/store/x.ts", /cryptography over values/],
    ["src/api/server/server.ts", "src/agent/agent.ts", undefined],
    ["src/api/server/server.ts", "src/gen/a/b_pb.ts", undefined],
    ["src/api/server/server.ts", "node:http2", undefined],
    ["src/api/server/server.ts", "npm:@bufbuild/protobuf/wkt", undefined],
    ["src/api/server/server.ts", "src/store/deno_kv/x.ts", /builds adapters/],
    ["src/api/server/server.ts", "src/cli/ip.ts", /translates between/],
    ["src/api/server/server.ts", "npm:prom-client", /translates between/],
    ["src/metrics/metrics.ts", "npm:prom-client", undefined],
    ["src/metrics/metrics.ts", "src/api/server/x.ts", /the agent reports/],
    ["src/agent/agent.ts", "src/metrics/metrics.ts", /features below it/],
    ["src/cni/main.ts", "src/cni/io.ts", undefined],
    ["src/cni/main.ts", "npm:@connectrpc/connect", /loads no RPC library/],
    ["src/cli/commands/ip.ts", "src/cli/framework/client.ts", undefined],
    ["src/cli/commands/ip.ts", "src/config/config.ts", undefined],
    ["src/cli/commands/ip.ts", "src/agent/agent.ts", /through its API client/],
    ["src/cli/commands/ip.ts", "src/gen/x_pb.ts", /through its API client/],
    ["src/cli/framework/client.ts", "src/gen/x_pb.ts", undefined],
    ["src/gen/x_pb.ts", "npm:@bufbuild/protobuf/codegenv2", undefined],
    ["src/gen/x_pb.ts", "src/base/error.ts", /it is generated/],
    ["src/ui/page/app.tsx", "npm:preact/jsx-runtime", undefined],
    ["src/ui/page/app.tsx", "src/gen/stellar/net/v1/x_pb.ts", undefined],
    ["src/ui/page/app.tsx", "src/net/prefix.ts", undefined],
    ["src/ui/page/app.tsx", "src/cluster/x.ts", /runs in a browser/],
    ["src/ui/page/app.tsx", "npm:@logtape/logtape", /runs in a browser/],
    ["src/ui/page/plan/x.ts", "src/gen/stellar/net/v1/x_pb.ts", undefined],
    ["src/ui/page/plan/x.ts", "npm:preact", /it is pure/],
    ["src/ui/page/plan/x.ts", "src/ui/page/api.ts", /it is pure/],
    ["src/other/x.ts", "src/base/error.ts", /is in no layer/],
  ];
  for (const [from, to, why] of rows) {
    await t.step(`${from} imports ${to}: ${why ? "no" : "yes"}`, () => {
      assert.match(forbids({ from, to }) ?? "allowed", why ?? /^allowed$/);
    });
  }
});

Deno.test("impureNames() finds exactly the names that touch the world", async (t) => {
  const rows: readonly [source: string, names: readonly string[]][] = [
    ["await Deno.readFile(path)", ["Deno"]],
    ["const { env } = Deno;", ["Deno"]],
    ["fetch(url)", ["fetch"]],
    ["const now = Date.now();", ["Date.now"]],
    ["const now = new Date();", ["new Date()"]],
    ["const now = new Date;", ["new Date"]],
    ["console.log(1)", ["console"]],
    ["Math.random()", ["Math.random"]],
    ["crypto.randomUUID()", ["crypto"]],
    ["performance.now()", ["performance"]],
    ["setTimeout(f, 1); setInterval(f, 1)", ["setTimeout"]],
    ["globalThis.x", ["globalThis"]],
    ["process.env", ["process"]],
    ["`${Deno.pid}`", ["Deno"]],
    ['const a = "//"; Deno.exit();', ["Deno"]],
    ["new Date(atMs).toISOString()", []],
    ["// Deno.exit()", []],
    ["/** Runs on Deno.\n * No console. */", []],
    ['throw new RangeError("Cannot fetch(it) from the console")', []],
    ["prefetch(x); processes; fetched", []],
  ];
  for (const [source, names] of rows) {
    await t.step(source, () => assert.deepEqual(impureNames(source), names));
  }
});

Deno.test("no module imports what its layer forbids", async () => {
  const files = [...await sourceFiles(), "main.ts"];
  const edges = await readGraph(files);
  const importers = new Set(edges.map(({ from }) => from));
  assert.ok(importers.has("main.ts") && importers.has("src/net/prefix.ts"));
  assert.ok(
    edges.some(({ from, to }) =>
      from === "src/ui/page/app.tsx" && to.startsWith("npm:preact")
    ),
  );
  assert.deepEqual(edges.flatMap((edge) => forbids(edge) ?? []), []);
});

Deno.test("no pure module touches the system, network, clock, console or randomness", async () => {
  assert.deepEqual(await impureNamesIn(PURE), []);
});

Deno.test("a module of cryptography touches nothing else of the world", async () => {
  const names = await impureNamesIn(CRYPTO);
  assert.deepEqual(names.filter((name) => !name.endsWith(" uses crypto")), []);
});

Deno.test("findCycles() finds names that reach one another", async (t) => {
  const rows: readonly [edges: string, cycles: readonly string[]][] = [
    ["a>b b>c", []],
    ["a>a", []],
    ["a>b b>a", ["a b"]],
    ["a>b b>c c>a c>d", ["a b c"]],
    ["a>b b>a c>d d>c b>c", ["a b", "c d"]],
  ];
  for (const [text, cycles] of rows) {
    await t.step(text, () => {
      const edges = text.split(" ").map((edge) => {
        const [from = "", to = ""] = edge.split(">");
        return { from, to };
      });
      const found = findCycles(edges).map((names) => names.join(" "));
      assert.deepEqual(found.sort(), cycles);
    });
  }
});

Deno.test("neither files nor folders import one another in a circle", async () => {
  const edges = (await readGraph([...await sourceFiles(), "main.ts"]))
    .filter(({ to }) => !to.includes(":"));
  assert.ok(edges.length > 500);
  assert.deepEqual(findCycles(edges), []);
  const folders = edges
    .map(({ from, to }) => ({ from: folderOf(from), to: folderOf(to) }));
  assert.deepEqual(findCycles(folders), []);
});

Deno.test("no source file is a barrel or a drawer of odds and ends", async () => {
  const names = /(?:^|\/)(?:utils?|helpers?|common|misc|index|mod)\.ts$/;
  assert.deepEqual(
    (await sourceFiles()).filter((file) => names.test(file)),
    [],
  );
});

Deno.test("no lock file names a registry host", async (t) => {
  for (
    const path of ["deno.lock", "test/deno.lock", "src/ui/page/deno.lock"]
  ) {
    await t.step(path, async () => {
      const text = await Deno.readTextFile(join(ROOT, path));
      assert.doesNotMatch(text, /:\/\//);
    });
  }
});

/** The impure names in the files that lie in some folders. */
async function impureNamesIn(folders: readonly string[]): Promise<string[]> {
  const files = (await sourceFiles())
    .filter((file) => folders.some((at) => covers(at, file)));
  assert.ok(files.length > 0);
  const found = await Promise.all(
    files.map(async (file) =>
      impureNames(await Deno.readTextFile(join(ROOT, file)))
        .map((name) => `${file} uses ${name}`)
    ),
  );
  return found.flat();
}

/** All of `src/`, as paths from the root. */
async function sourceFiles(): Promise<string[]> {
  const files = await walkFiles(join(ROOT, "src"));
  return files.map((file) => relative(ROOT, file));
}
