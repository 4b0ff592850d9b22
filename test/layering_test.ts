import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { ROOT } from "./generate.ts";
import { walkFiles } from "./support/files.ts";
import {
  covers,
  CRYPTO_FILES,
  forbids,
  impureNames,
  PURE_FILES,
} from "./support/layers.ts";
import { readGraph } from "./support/module_graph.ts";

const MAX_LINES = 300;

Deno.test("forbids() tells allowed imports from forbidden ones", async (t) => {
  const rows: readonly [from: string, to: string, why: RegExp | undefined][] = [
    ["main.ts", "src/agent/agent.ts", /picks the face, nothing else/],
    ["src/main/agent.ts", "src/store/deno_kv/deno_kv.ts", undefined],
    ["src/main/agent.ts", "npm:commander", /it builds adapters/],
    ["src/base/error.ts", "src/net/address.ts", /every layer stands on it/],
    ["src/net/prefix.ts", "src/net/address.ts", undefined],
    ["src/net/address.ts", "npm:ipaddr.js", undefined],
    ["src/net/address.ts", "npm:ipaddr.js-fork", /it is arithmetic/],
    ["src/net/address.ts", "src/base/error.ts", /it is arithmetic/],
    ["src/net/address.ts", "src/network/x.ts", /it is arithmetic/],
    ["src/net/address.ts", "node:net", /it is arithmetic/],
    ["src/addresses/plan/plan.ts", "src/base/error.ts", undefined],
    ["src/addresses/plan/plan.ts", "src/net/subnet.ts", undefined],
    ["src/addresses/plan/plan.ts", "src/registry/plan/plan.ts", /it is pure/],
    ["src/addresses/plan/plan.ts", "src/store/store.ts", /it is pure/],
    ["src/registry/plan/plan.ts", "npm:@logtape/logtape", /it is pure/],
    ["src/route/diff.ts", "node:child_process", /it is pure/],
    ["src/cni/text/result.ts", "src/gen/x_pb.ts", /it is pure/],
    [
      "src/store/store.ts",
      "src/store/deno_kv/deno_kv.ts",
      /none of its adapters/,
    ],
    ["src/store/deno_kv/deno_kv.ts", "src/store/store.ts", undefined],
    [
      "src/store/deno_kv/deno_kv.ts",
      "src/addresses/plan/plan.ts",
      /not what is kept in it/,
    ],
    ["src/system/netns.ts", "src/host/proc_netns.ts", /none of its adapters/],
    ["src/agent/daemon.ts", "src/system/command.ts", undefined],
    ["src/agent/daemon.ts", "src/system/deno_command.ts", /never an adapter/],
    ["src/routes/ip_routes.ts", "src/agent/agent.ts", /others have decided/],
    [
      "src/routes/kernel_routes.ts",
      "src/routes/ip_routes.ts",
      /none of its adapters/,
    ],
    ["src/registry/registry.ts", "src/registry/plan/plan.ts", undefined],
    ["src/registry/registry.ts", "src/store/store.ts", undefined],
    [
      "src/registry/registry.ts",
      "src/store/deno_kv/deno_kv.ts",
      /never an adapter/,
    ],
    ["src/registry/registry.ts", "src/gen/x_pb.ts", /nothing of RPC/],
    ["src/registry/registry.ts", "npm:@connectrpc/connect", /nothing of RPC/],
    ["src/security/pki/authority.ts", "npm:pkijs", undefined],
    ["src/security/pki/token.ts", "node:crypto", undefined],
    ["src/security/pki/token.ts", "node:tls", /cryptography over values/],
    [
      "src/security/pki/token.ts",
      "src/store/store.ts",
      /cryptography over values/,
    ],
    ["src/api/server/server.ts", "src/agent/agent.ts", undefined],
    ["src/api/server/server.ts", "src/gen/a/b_pb.ts", undefined],
    ["src/api/server/server.ts", "node:http2", undefined],
    ["src/api/server/server.ts", "npm:@bufbuild/protobuf/wkt", undefined],
    [
      "src/api/server/server.ts",
      "src/store/deno_kv/deno_kv.ts",
      /translates between/,
    ],
    [
      "src/api/server/server.ts",
      "src/addresses/plan/plan.ts",
      /translates between/,
    ],
    [
      "src/api/server/server.ts",
      "src/cli/commands/ip.ts",
      /translates between/,
    ],
    ["src/api/server/server.ts", "npm:prom-client", /translates between/],
    ["src/metrics/metrics.ts", "npm:prom-client", undefined],
    ["src/metrics/metrics.ts", "src/api/server/server.ts", /reads no more/],
    ["src/agent/agent.ts", "src/metrics/metrics.ts", /never an adapter/],
    ["src/cli/commands/ip.ts", "src/cli/framework/client.ts", undefined],
    ["src/cli/commands/ip.ts", "src/config/config.ts", undefined],
    [
      "src/cli/commands/ip.ts",
      "src/agent/agent.ts",
      /its RPC client alone/,
    ],
    ["src/cli/commands/ip.ts", "src/gen/x_pb.ts", /its RPC client alone/],
    [
      "src/cli/commands/ip.ts",
      "src/api/messages/errors.ts",
      /its RPC client alone/,
    ],
    ["src/cli/framework/client.ts", "src/gen/x_pb.ts", undefined],
    ["src/gen/x_pb.ts", "npm:@bufbuild/protobuf/codegenv2", undefined],
    ["src/gen/x_pb.ts", "src/base/error.ts", /it is generated/],
    ["src/other/x.ts", "src/base/error.ts", /is in no layer/],
  ];
  for (const [from, to, why] of rows) {
    await t.step(`${from} imports ${to}: ${why ? "no" : "yes"}`, () => {
      assert.match(forbids({ from, to }) ?? "allowed", why ?? /^allowed$/);
    });
  }
});

Deno.test("impureNames() finds what touches the world, and only that", async (t) => {
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
  assert.deepEqual(edges.flatMap((edge) => forbids(edge) ?? []), []);
});

Deno.test("no pure module touches the system, network, clock, console or randomness", async () => {
  assert.deepEqual(await impureNamesIn(PURE_FILES), []);
});

Deno.test("a module of cryptography touches nothing else of the world", async () => {
  const names = await impureNamesIn(CRYPTO_FILES);
  assert.deepEqual(names.filter((name) => !name.endsWith(" uses crypto")), []);
});

Deno.test(`no source file is longer than ${MAX_LINES} lines`, async () => {
  const lengths = await Promise.all(
    (await sourceFiles()).filter((file) => !covers("src/gen/", file))
      .map(async (file) => {
        const text = await Deno.readTextFile(join(ROOT, file));
        return { file, lines: text.split("\n").length - 1 };
      }),
  );
  assert.ok(lengths.length > 0);
  assert.deepEqual(lengths.filter(({ lines }) => lines > MAX_LINES), []);
});

Deno.test("no source file is a barrel or a drawer of odds and ends", async () => {
  const names = /(?:^|\/)(?:utils?|helpers?|common|misc|index|mod)\.ts$/;
  assert.deepEqual(
    (await sourceFiles()).filter((file) => names.test(file)),
    [],
  );
});

Deno.test("deno.lock names no registry host", async () => {
  const text = await Deno.readTextFile(join(ROOT, "deno.lock"));
  assert.doesNotMatch(text, /:\/\//);
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
