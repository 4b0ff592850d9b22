import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ROOT } from "../generate.ts";
import { parseOutput } from "../cli/commands/cni_calls.ts";
import {
  callPlugin,
  installPlugin,
  testPlugins,
} from "../support/cni_plugin.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { run } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";
import { withTempDir } from "../support/temp_dir.ts";

const MEGABYTE = 1024 * 1024;
const OPEN_STDIN_DEADLINE_MS = 120_000;

const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_IFNAME: "eth0",
  CNI_NETNS: "/run/netns/c1",
};

function configOf(agent: SpawnedAgent, ipam: Record<string, unknown> = {}) {
  return {
    cniVersion: "1.1.0",
    name: "net",
    ipam: { type: "stellar-net", socket: agent.socketPath, ...ipam },
  };
}

/** Waits until an agent holds nothing. */
async function emptied(agent: SpawnedAgent): Promise<void> {
  using client = createIpamClient(agent.port);
  await waitFor(
    "the agent to hold nothing",
    async () => (await client.list()).length === 0,
  );
}

testPlugins(
  "the plugin in a process: one JSON object or nothing, whatever comes in",
  async (kind, t) => {
    await using agent = await spawnAgent();
    await withTempDir(async (dir) => {
      const plugin = await installPlugin(dir, {
        kind,
        socketPath: agent.socketPath,
      });
      const config = configOf(agent);
      const rows: readonly [
        name: string,
        call: {
          readonly env?: Record<string, string>;
          readonly config?: unknown;
        },
        code: number,
      ][] = [
        ["nothing in the environment", { env: { CNI_COMMAND: "" } }, 4],
        ["an unknown command", { env: { CNI_COMMAND: "NONE" } }, 4],
        ["variables missing", { env: { CNI_IFNAME: "", CNI_NETNS: "" } }, 4],
        ["a bad container id", { env: { CNI_CONTAINERID: "bad/id" } }, 4],
        ["a container id of 100,000 characters", {
          env: { CNI_CONTAINERID: "a".repeat(100_000) },
        }, 4],
        ["a bad interface name", { env: { CNI_IFNAME: "a:b" } }, 4],
        ["unknown arguments", { env: { CNI_ARGS: "FOO=1" } }, 4],
        ["100,000 characters of arguments", {
          env: { CNI_ARGS: "A=1;".repeat(25_000) },
        }, 4],
        ["an empty configuration", { config: "" }, 6],
        ["no JSON", { config: "hello" }, 6],
        ["a list", { config: [] }, 6],
        ["bytes of no text", { config: "\ud800{}" }, 6],
        ["a megabyte of brackets", { config: "[".repeat(MEGABYTE) }, 6],
        ["a megabyte of lists", {
          config: "[".repeat(MEGABYTE / 2) + "]".repeat(MEGABYTE / 2),
        }, 6],
        ["five megabytes", { config: " ".repeat(5 * MEGABYTE) }, 5],
        ["fifty megabytes", { config: "x".repeat(50 * MEGABYTE) }, 5],
        [
          "an unknown version",
          { config: { ...config, cniVersion: "9.9.9" } },
          1,
        ],
        ["a version of a megabyte", {
          config: { ...config, cniVersion: "1".repeat(MEGABYTE) },
        }, 1],
        ["no name", { config: { ...config, name: undefined } }, 7],
        ["an empty name", { config: { ...config, name: "" } }, 7],
        ["a name of a megabyte", {
          config: { ...config, name: "a".repeat(MEGABYTE) },
        }, 7],
        ["no ipam", { config: { ...config, ipam: undefined } }, 7],
        ["another ipam", { config: { ...config, ipam: { type: "dhcp" } } }, 7],
        [
          "a socket that is a number",
          { config: configOf(agent, { socket: 1 }) },
          7,
        ],
        ["a hundred thousand routes, the last one wrong", {
          config: configOf(agent, {
            routes: [...new Array(50_000).fill({ dst: "10.0.0.0/8" }), {}],
          }),
        }, 7],
        ["no agent", {
          config: configOf(agent, { socket: `${agent.socketPath}.none` }),
        }, 11],
        ["Stellar's kind without its keys", {
          config: { ...config, ipam: { type: "stellar-cni-ipam" } },
        }, 7],
      ];
      for (const [name, call, code] of rows) {
        await t.step(name, async () => {
          const result = await callPlugin(plugin, {
            env: { ...ENV, ...call.env },
            config: call.config ?? config,
          });
          const output = parseOutput(result.stdout);
          assert.deepEqual(
            [result.code, output?.code],
            [1, code],
            result.stderr,
          );
          assert.ok(result.stdout.length < 2_000);
        });
      }
      await t.step("a variable that is not UTF-8", async () => {
        const { code, stdout } = await run("sh", [
          "-c",
          `CNI_ARGS=$(printf 'IP=\\377') exec "$0"`,
          plugin,
        ], { env: ENV, stdin: JSON.stringify(config) });
        assert.deepEqual([code, parseOutput(stdout)?.code], [1, 4]);
      });
      await t.step("a configuration of megabytes that is right", async () => {
        const result = await callPlugin(plugin, {
          env: ENV,
          config: { ...config, comment: "x".repeat(3 * MEGABYTE) },
        });
        assert.equal(result.code, 0, result.stdout);
        assert.equal(parseOutput(result.stdout)?.cniVersion, "1.1.0");
      });
    });
  },
);

testPlugins(
  "the plugin is picked by CNI_COMMAND alone, and is not by anything else",
  async (kind, t) => {
    await withTempDir(async (dir) => {
      const plugin = await installPlugin(dir, { kind });
      await t.step("under Stellar's name, with arguments", async () => {
        const { code, stdout } = await run(
          join(dir, "stellar-cni-ipam"),
          ["agent", "--help"],
          { env: { CNI_COMMAND: "VERSION" } },
        );
        assert.equal(code, 0);
        assert.equal(parseOutput(stdout)?.cniVersion, "1.1.0");
      });
      await t.step("without it, the help of the command line", async () => {
        const { stdout, stderr } = await run(plugin, [], { env: {} });
        assert.match(stdout + stderr, /Usage: stellar-net/);
      });
      await t.step("VERSION with a stdin that stays open", async () => {
        const child = new Deno.Command(plugin, {
          env: { CNI_COMMAND: "VERSION" },
          stdin: "piped",
          stdout: "piped",
          signal: AbortSignal.timeout(OPEN_STDIN_DEADLINE_MS),
        }).spawn();
        const { code, stdout } = await child.output();
        await child.stdin.close();
        assert.equal(code, 0);
        assert.ok(parseOutput(new TextDecoder().decode(stdout)));
      });
    });
  },
);

testPlugins(
  "an ADD that nobody waits for leaves no address",
  async (kind, t) => {
    await using agent = await spawnAgent();
    await withTempDir(async (dir) => {
      const plugin = await installPlugin(dir, {
        kind,
        socketPath: agent.socketPath,
      });
      const spawn = () =>
        new Deno.Command(plugin, {
          env: ENV,
          stdin: "piped",
          stdout: "piped",
          stderr: "null",
        }).spawn();
      const send = async (child: Deno.ChildProcess) => {
        const writer = child.stdin.getWriter();
        await writer.write(
          new TextEncoder().encode(JSON.stringify(configOf(agent))),
        );
        await writer.close();
      };
      await t.step("its caller has closed stdout", async () => {
        const child = spawn();
        await child.stdout.cancel();
        await send(child);
        assert.equal((await child.status).code, 1);
        await emptied(agent);
      });
      await t.step(
        "it is late: the agent stands still for a while",
        async () => {
          Deno.kill(agent.pid, "SIGSTOP");
          let result;
          const start = performance.now();
          try {
            result = await callPlugin(plugin, {
              env: ENV,
              config: configOf(agent, { timeout: "800ms" }),
            });
          } finally {
            Deno.kill(agent.pid, "SIGCONT");
          }
          assert.equal(parseOutput(result.stdout)?.code, 11);
          assert.ok(performance.now() - start < 60_000);
          await emptied(agent);
        },
      );
      await t.step("it is killed while the agent stands still", async () => {
        Deno.kill(agent.pid, "SIGSTOP");
        try {
          const child = spawn();
          await send(child);
          // Long enough to have asked; if not, there is nothing to undo.
          await delay(300);
          child.kill("SIGKILL");
          await Promise.all([child.status, child.stdout.cancel()]);
        } finally {
          Deno.kill(agent.pid, "SIGCONT");
        }
        await emptied(agent);
      });
    });
  },
);

Deno.test("the plugin loads no package but ipaddr.js, and of this project only its own face", async () => {
  const main = join(ROOT, "src/cni/main.ts");
  const { code, stdout, stderr } = await run(Deno.execPath(), [
    ...["info", "--json", main],
  ]);
  assert.equal(code, 0, stderr);
  const loaded = loadedFrom(pathToFileURL(main).href, JSON.parse(stdout));
  assert.ok(loaded.includes("src/cni/text/config.ts"));
  const face = /^src\/(?:cni|cni\/text|base)\/\w+\.ts$/;
  assert.deepEqual(loaded.filter((name) => !face.test(name)).sort(), [
    "npm:ipaddr.js",
    "src/net/address.ts",
    "src/net/prefix.ts",
  ]);
});

/** A module in the output of `deno info --json`. */
interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    /** Absent where only types are imported. */
    readonly code?: { readonly specifier: string };
  }[];
}

/** The packages, without versions, and the files of this project that a module loads. */
function loadedFrom(
  main: string,
  { modules }: { readonly modules: readonly ModuleInfo[] },
): string[] {
  const loaded = new Set([main]);
  for (const specifier of loaded) {
    const module = modules.find((found) => found.specifier === specifier);
    for (const { code } of module?.dependencies ?? []) {
      if (code) loaded.add(code.specifier);
    }
  }
  return [...loaded].map((specifier) =>
    specifier.startsWith("file:")
      ? relative(ROOT, fileURLToPath(specifier))
      : specifier.replace(/^npm:\/?(@?[^@]+).*/, "npm:$1")
  );
}
