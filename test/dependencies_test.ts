import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "./generate.ts";

interface Config {
  readonly unstable: readonly string[];
  readonly imports: Readonly<Record<string, string>>;
  readonly compilerOptions: Readonly<Record<string, unknown>>;
}

/** Packages that only tests read. */
const ONLY_TESTS = [
  "@connectrpc/connect-web",
  "@grpc/grpc-js",
  "@grpc/proto-loader",
  "axe-core",
  "fast-check",
  "playwright-core",
];

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(join(ROOT, path)));
}

Deno.test("tests have the program's packages, and a few of their own", async () => {
  const program = await readJson<Config>("deno.json");
  const tests = await readJson<Config>("test/deno.json");
  const own = Object.keys(tests.imports)
    .filter((name) => !(name in program.imports));
  assert.deepEqual(own, ONLY_TESTS);
  for (const [name, version] of Object.entries(program.imports)) {
    assert.equal(tests.imports[name], version);
  }
  assert.deepEqual(tests.unstable, program.unstable);
  assert.deepEqual(tests.compilerOptions, program.compilerOptions);
});

Deno.test("the program's lock file has only the packages that it loads, in the tests' versions", async () => {
  interface Lock {
    readonly npm: Readonly<Record<string, { readonly integrity: string }>>;
  }
  const program = await readJson<Lock>("deno.lock");
  const tests = await readJson<Lock>("test/deno.lock");
  // `deno task` fetches all of them: a first start waits for it.
  const names = Object.keys(program.npm).map((id) =>
    id.replace(/^(@?[^@]+)@.*$/, "$1")
  );
  assert.deepEqual([...new Set(names)].sort(), [
    "@bufbuild/protobuf",
    "@connectrpc/connect",
    "@connectrpc/connect-node",
    "@logtape/logtape",
    "@opentelemetry/api",
    "bintrees",
    "commander",
    "ipaddr.js",
    "prom-client",
    "tdigest",
  ]);
  for (const [id, { integrity }] of Object.entries(program.npm)) {
    assert.equal(tests.npm[id]?.integrity, integrity, id);
  }
});

Deno.test("the page has the program's versions of its packages, and its compiler options", async () => {
  const program = await readJson<Config>("deno.json");
  const tests = await readJson<Config>("test/deno.json");
  const page = await readJson<Config>("src/ui/page/deno.json");
  for (const [name, version] of Object.entries(page.imports)) {
    const known = program.imports[name] ?? tests.imports[name];
    if (known === undefined) assert.match(version, /^npm:.*@\d+\.\d+\.\d+$/);
    else assert.equal(version, known);
  }
  const { jsx, jsxImportSource, lib, ...options } = page.compilerOptions;
  assert.deepEqual(options, program.compilerOptions);
  assert.deepEqual([jsx, jsxImportSource], ["react-jsx", "preact"]);
  assert.deepEqual(lib, ["dom", "dom.iterable", "esnext"]);
});
