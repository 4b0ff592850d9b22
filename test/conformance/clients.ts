import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { CONFIG, ROOT } from "../generate.ts";
import { walkFiles } from "../support/files.ts";
import type { Namespace } from "../support/namespace.ts";
import { onceInRun } from "../support/once_in_run.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { runCurl } from "./curl_runner.ts";
import type { Line, Plan } from "./plan.ts";
import type { Ability } from "./situations.ts";

/** A client that nobody here wrote, and the runner that makes calls with it. */
export interface ConformanceClient {
  readonly name: string;
  readonly abilities: readonly Ability[];
  /** Whether it shows how an answer was compressed. */
  readonly showsEncoding?: true;
  /** Makes the calls of a plan in a namespace. Yields the lines that the runner writes. */
  run(plan: Plan, namespace: Namespace): AsyncIterable<Line>;
}

const GRPC: readonly Ability[] = [
  ...["raw", "compress", "stream", "bidi", "refused"] as const,
];
const HERE = fileURLToPath(new URL(".", import.meta.url));
/** Debian's libraries of Go, which are no modules. */
const DEBIAN_GO = "/usr/share/gocode";

/** The programs that the runners need, made once in a run of the tests. */
export interface Programs {
  /** Folder of Python's generated code. */
  readonly python: string;
  /** The runner in Go. */
  readonly go: string;
  /** The runner in JavaScript, for Node and Deno. */
  readonly js: string;
}

/** Generates the clients' code and compiles their runners. */
export async function makePrograms(): Promise<Programs> {
  return await onceInRun("conformance", async () => {
    const dir = join(ROOT, "dist/conformance");
    await Deno.mkdir(dir, { recursive: true });
    const programs = {
      python: join(dir, "python"),
      go: join(dir, "runner"),
      js: join(dir, "runner.mjs"),
    };
    await Promise.all([
      generatePython(programs.python),
      compileGo(programs.go, join(dir, "go-cache")),
      bundleJs(programs.js),
    ]);
    return programs;
  });
}

/** Runs protoc on some of the protos of the API as the executable publishes them. */
async function protoc(
  folders: readonly string[],
  args: readonly string[],
): Promise<void> {
  await withTempDir(async (dir) => {
    await must(Deno.execPath(), ["run", "-A", "main.ts", "proto", dir]);
    const protos = (await walkFiles(dir)).filter((path) =>
      folders.includes(relative(dir, path).split("/")[0]!)
    );
    await must("protoc", ["-I", dir, ...args, ...protos]);
  });
}

async function generatePython(dir: string): Promise<void> {
  await Deno.remove(dir, { recursive: true }).catch(() => {});
  await Deno.mkdir(dir, { recursive: true });
  await protoc(["stellar", "google"], [
    ...[`--python_out=${dir}`, `--grpc_python_out=${dir}`],
    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
  ]);
  // Code in a folder `grpc` would hide the library's own.
  await protoc(["grpc"], [`--descriptor_set_out=${dir}/grpc.binpb`]);
}

async function compileGo(program: string, cache: string): Promise<void> {
  await withTempDir(async (dir) => {
    const source = join(dir, "src");
    await Deno.mkdir(join(source, "runner"), { recursive: true });
    // The other packages are libraries.
    await protoc(["stellar"], [
      `--go_out=${source}`,
      `--go-grpc_out=${source}`,
    ]);
    await Deno.copyFile(
      join(HERE, "runner.go"),
      join(source, "runner/main.go"),
    );
    await must("/usr/bin/go", ["build", "-o", program, "runner"], {
      ...{ GO111MODULE: "off", GOFLAGS: "", GOPATH: `${dir}:${DEBIAN_GO}` },
      ...{ GOCACHE: cache, GOPROXY: "off" },
    });
  });
}

async function bundleJs(program: string): Promise<void> {
  await must(Deno.execPath(), [
    ...["bundle", "--quiet", ...CONFIG, "--platform", "deno"],
    ...["-o", program, join(HERE, "runner_main.ts")],
  ]);
}

async function must(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const options = { cwd: ROOT, env, timeoutMs: 900_000 };
  const { code, stderr } = await run(command, args, options);
  assert.equal(code, 0, `${command}: ${stderr}`);
}

/** Every client. */
export function createClients(programs: Programs): ConformanceClient[] {
  const inNode = (kind: string, abilities: readonly Ability[]) => ({
    name: kind,
    abilities,
    ...kind.startsWith("connect-node") && { showsEncoding: true as const },
    run: spawning(["node", programs.js, kind]),
  });
  const inDeno = (kind: string, abilities: readonly Ability[]) => ({
    name: `${kind} in Deno`,
    abilities,
    run: spawning([
      ...[Deno.execPath(), "run", "-A", "--no-config", programs.js, kind],
    ]),
  });
  const curl = (words: readonly string[]) => ({
    name: ["curl", ...words].join(" "),
    abilities: ["raw", "json", "refused"] as const,
    showsEncoding: true as const,
    run: (plan: Plan, namespace: Namespace) =>
      runCurl(plan, namespace, ["curl", ...words]),
  });
  return [
    {
      name: "Python's grpcio",
      abilities: GRPC,
      run: spawning([
        ...["/usr/bin/python3", join(HERE, "runner.py"), programs.python],
      ]),
    },
    {
      name: "Go's grpc",
      abilities: GRPC,
      run: spawning([programs.go]),
    },
    inNode("grpc-js", GRPC),
    inNode("connect-node, gRPC", ["compress", "stream", "bidi", "refused"]),
    inNode("connect-node, Connect over HTTP/2", [
      ...["compress", "stream", "bidi", "refused"] as const,
    ]),
    inNode("connect-node, Connect over HTTP/1.1", [
      ...["compress", "stream", "refused"] as const,
    ]),
    inNode("connect-node, gRPC-Web over HTTP/1.1", [
      ...["compress", "stream", "refused"] as const,
    ]),
    inDeno("connect-web, Connect", ["stream"]),
    inDeno("connect-web, gRPC-Web", ["stream"]),
    curl(["--http1.1"]),
    curl(["--http2-prior-knowledge"]),
  ];
}

/** Runs a program that reads a plan and writes lines. */
function spawning(command: readonly string[]): ConformanceClient["run"] {
  return async function* (plan, { within }) {
    const [program, ...args] = [...within, ...command];
    const child = new Deno.Command(program!, {
      args,
      env: { GRPC_VERBOSITY: "NONE" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const failure = new Response(child.stderr).text();
    // A runner that has failed does not read it; its exit code tells.
    const sent = new Blob([`${JSON.stringify(plan)}\n`]).stream()
      .pipeTo(child.stdin).catch(() => {});
    let rest = "";
    for await (
      const text of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield JSON.parse(line);
    }
    await sent;
    const { code } = await child.status;
    assert.equal(code, 0, await failure);
  };
}
