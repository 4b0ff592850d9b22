import assert from "node:assert/strict";
import { join } from "node:path";
import { CONFIG, ROOT } from "../generate.ts";
import { enrolWithin } from "../support/enrol_within.ts";
import { createNamespace } from "../support/namespace.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

/** The agent's address in the examples. */
const ADDRESS = "198.18.0.11";
const SETUP = `ip link set lo up\nip address add ${ADDRESS}/32 dev lo`;
/** What each example prints: an address, and the error of an empty request. */
const ERROR = 'Invalid field "owner.container_id": it is empty';
const REASON = "INVALID_FIELD owner.container_id";
const CHROMIUM = ["--headless=new", "--no-sandbox", "--disable-gpu"]
  .concat("--disable-quic", "--no-first-run", "--disable-sync")
  .concat("--disable-background-networking", "--disable-component-update")
  .concat("--no-proxy-server", "--virtual-time-budget=10000", "--dump-dom");

/** The blocks of code under a heading of docs/api.md, by language, in order. */
async function readBlocks(
  heading: string,
): Promise<Record<string, readonly string[]>> {
  const text = await Deno.readTextFile(join(ROOT, "docs/api.md"));
  const part = new RegExp(`\n### ${heading}\n([^]*?)\n##`).exec(text)![1]!;
  const blocks: Record<string, string[]> = {};
  for (const [, kind, code] of part.matchAll(/```(\w+)\n([^]*?)```/g)) {
    (blocks[kind!] ??= []).push(code!);
  }
  return blocks;
}

/** Programs that the examples expect in the path, as scripts in a folder. */
async function writePrograms(dir: string): Promise<void> {
  const deno = `exec ${Deno.execPath()} run -A ${CONFIG.join(" ")}`;
  const programs = {
    "stellar-net": `${deno} ${ROOT}/main.ts "$@"`,
    "protoc-gen-es":
      `${deno} npm:@bufbuild/protoc-gen-es@2.17.0/protoc-gen-es "$@"`,
    // As a project with these packages would have it.
    "deno": `command=$1; shift
      exec ${Deno.execPath()} "$command" ${CONFIG.join(" ")} "$@"`,
  };
  await Deno.mkdir(dir);
  for (const [name, script] of Object.entries(programs)) {
    await Deno.writeTextFile(join(dir, name), `#!/bin/sh\n${script}\n`, {
      mode: 0o755,
    });
  }
}

Deno.test("docs/api.md: the examples of its clients work as they stand, over TLS as an operator", async (t) => {
  await withTempDir(async (dir) => {
    await using namespace = await createNamespace("net", SETUP);
    const { within } = namespace;
    await using agent = await spawnAgent({
      within,
      args: ["--listen", `${ADDRESS}:9000`, "--advertise", ADDRESS],
    });
    const { socketPath } = agent;
    const url = `https://${ADDRESS}:9000`;
    await enrolWithin(namespace, { socketPath, url, role: "operator", dir });
    const programs = join(dir, "programs");
    await writePrograms(programs);
    // Go finds a package by its folder.
    const cwd = join(dir, "src/example");
    await Deno.mkdir(cwd, { recursive: true });
    await Deno.rename(join(dir, "operator"), join(cwd, "alice"));
    const env = {
      PATH: `${programs}:${Deno.env.get("PATH")}`,
      ...{ GO111MODULE: "off", GOFLAGS: "", GOPROXY: "off" },
      GOPATH: `${dir}:/usr/share/gocode`,
      GOCACHE: join(ROOT, "dist/conformance/go-cache"),
    };
    const inDir = async (program: string, args: readonly string[]) => {
      const [command, ...words] = [...within, program, ...args];
      const { code, stdout, stderr } = await run(command!, words, {
        ...{ cwd, env, timeoutMs: 300_000 },
      });
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const type = (script: string) => inDir("sh", ["-ec", script]);
    const write = (name: string, code: string) =>
      Deno.writeTextFile(join(cwd, name), code);
    const assertPrinted = (
      stdout: string,
      code: string,
      reason = `\n${REASON}`,
    ) => {
      const [address, ...rest] = stdout.trim().split("\n");
      assert.match(address!, /^172\.16\.\d+\.\d+$/);
      assert.equal(rest.join("\n"), `${code} ${ERROR}${reason}`);
    };

    await t.step("Python", async () => {
      const { sh, python } = await readBlocks("Python");
      await type(sh![0]!);
      await write("client.py", python![0]!);
      const stdout = await inDir("/usr/bin/python3", ["client.py"]);
      assertPrinted(stdout, "INVALID_ARGUMENT");
    });
    await t.step("Go", async () => {
      const { sh, go } = await readBlocks("Go");
      await type(sh![0]!);
      await write("main.go", go![0]!);
      const stdout = await inDir("/usr/bin/go", ["run", "main.go"]);
      assertPrinted(stdout, "InvalidArgument");
    });
    await t.step("Node", async () => {
      const { js } = await readBlocks("Node");
      await write("client.js", js![0]!);
      // Its packages are in Deno's cache, where Node does not find them.
      await type("deno bundle --quiet -o client.mjs client.js");
      const stdout = await inDir("node", ["client.mjs"]);
      assertPrinted(stdout, "INVALID_ARGUMENT", "");
    });
    await t.step("Deno", async () => {
      const { sh, ts } = await readBlocks("Deno");
      await type(sh![0]!);
      await write("client.ts", ts![0]!);
      const stdout = await type("deno run -A client.ts");
      assertPrinted(stdout, "InvalidArgument");
    });
    await t.step("a browser", async () => {
      const { sh, ts } = await readBlocks("A browser");
      await write("page.ts", ts![0]!);
      await write("server.ts", ts![1]!);
      const [bundle, serve] = sh![0]!.trim().split("\n");
      await type(bundle!);
      const [command, ...words] = [...within, "sh", "-c", `exec ${serve}`];
      const server = new Deno.Command(command!, {
        ...{ args: words, cwd, env, stdin: "null", stdout: "null" },
      }).spawn();
      try {
        await waitFor("the server", async () => {
          const [curl, ...args] = [...within, "curl", "--silent"];
          const url = "http://127.0.0.1:8080/";
          return (await run(curl!, [...args, url])).code === 0;
        });
        const html = await inDir("timeout", [
          ...["60", "/usr/bin/chromium", ...CHROMIUM],
          ...[`--user-data-dir=${dir}/chromium`, "http://127.0.0.1:8080/"],
        ]);
        assert.match(html, /172\.16\.\d+\.\d+\s+NotFound [^<]*"web5"/);
      } finally {
        server.kill("SIGKILL");
        await server.status;
      }
    });
    await t.step("curl", async () => {
      const { sh } = await readBlocks("curl");
      const printed = await type(sh![0]!);
      const [, answer, error] = /^(\{.*\})(\{"code".*\})exit 22\n$/
        .exec(printed)!;
      const { allocation } = JSON.parse(answer!);
      assert.match(allocation.addresses[0].address, /^172\.16\./);
      const { code, message, details } = JSON.parse(error!);
      assert.equal(code, "invalid_argument");
      assert.equal(message, ERROR);
      assert.equal(details[0].debug.reason, "INVALID_FIELD");
      const read = JSON.parse(await type(sh![1]!));
      assert.equal(read.allocation.owner.containerId, "web6");
    });
  });
});
