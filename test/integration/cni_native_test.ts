import assert from "node:assert/strict";
import fc from "fast-check";
import { compileNativePlugin } from "../../src/build/native_plugin.ts";
import { findTarget, TARGETS } from "../../src/build/target.ts";
import { formatNativePlugin } from "../../src/cni/native_file.ts";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import { ROOT } from "../generate.ts";
import { must } from "../support/cni_plugin.ts";
import { drawFuzz } from "../support/fuzz.ts";
import { run, type RunOptions, type RunResult } from "../support/run.ts";
import {
  type AgentScript,
  nativeMessage,
  ScriptedAgent,
} from "../support/scripted_agent.ts";
import { waitFor } from "../support/wait_for.ts";
import { withTempDir } from "../support/temp_dir.ts";

const MIB = 1024 * 1024;
const SOURCE = `${ROOT}/src/cni/native/plugin.c`;
const ENV = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", SECRET: "hidden" };
const CONFIG = '{"name":"net"}';
const ACCEPTED = nativeMessage(1, [5_000]);
const OUTPUT = '{"ips":[]}\n';
const NOTE = "a note\n";
const ANSWER = nativeMessage(
  2,
  [3, OUTPUT.length, NOTE.length],
  OUTPUT + NOTE,
);
const RUN_EXECUTABLE = nativeMessage(0);
const PRINTED = [6];

/** Stands for the executable: tells how it was called, with the size of its stdin. */
const EXECUTABLE = `#!/bin/sh
printf 'executable %s %s %s' "$CNI_COMMAND" "$*" "$(wc -c)"
exit 9
`;

/** The plugin as it is built, and with sanitizers: every test runs over both. */
const BUILDS: Readonly<
  Record<string, (output: string) => Promise<void>>
> = {
  "as built": async (output) => {
    await compile(output);
  },
  "with sanitizers": async (output) => {
    await must("cc", [
      ...["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"],
      ...["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
      ...["-o", output, SOURCE],
    ]);
  },
};

async function compile(
  output: string,
  { root = ROOT, triple = Deno.build.target as string } = {},
): Promise<Uint8Array> {
  const result = await compileNativePlugin({
    root,
    target: findTarget(triple),
    output,
    runner: new DenoCommandRunner({ timeoutMs: 60_000 }),
  });
  assert.ok(result.kind === "compiled");
  return result.bytes;
}

interface World {
  readonly agent: ScriptedAgent;
  readonly dir: string;
  /** Path of the plugin. */
  readonly plugin: string;
  /** Runs the plugin against an agent with a script. */
  call(script: AgentScript, options?: RunOptions): Promise<RunResult>;
}

async function withPlugin(
  build: (output: string) => Promise<unknown>,
  use: (world: World) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const plugin = `${dir}/plugin`;
    const executable = `${dir}/executable`;
    const socketPath = `${dir}/agent.sock`;
    await Deno.writeTextFile(executable, EXECUTABLE, { mode: 0o755 });
    await build(plugin);
    const bytes = await Deno.readFile(plugin);
    await Deno.writeFile(
      plugin,
      formatNativePlugin(bytes, { socketPath, executable }),
    );
    await using agent = await ScriptedAgent.start(socketPath);
    await use({
      agent,
      dir,
      plugin,
      async call(script, options = {}) {
        agent.script = script;
        const result = await run(plugin, [], {
          ...{ env: ENV, clearEnv: true, stdin: CONFIG },
          ...options,
        });
        await agent.ended();
        return result;
      },
    });
  });
}

function testBuilds(
  name: string,
  test: (world: World, t: Deno.TestContext) => Promise<void>,
): void {
  for (const [build, make] of Object.entries(BUILDS)) {
    Deno.test(`the native plugin ${name}: ${build}`, (t) =>
      withPlugin(make, (world) => test(world, t)));
  }
}

function assertAnswered({ code, stdout, stderr }: RunResult): void {
  assert.deepEqual({ code, stdout, stderr }, {
    code: 3,
    stdout: OUTPUT,
    stderr: NOTE,
  });
}

function assertExecuted(
  { code, stdout, stderr }: RunResult,
  size = CONFIG.length,
): void {
  assert.deepEqual({ code, stdout, stderr }, {
    code: 9,
    stdout: `executable ADD  ${size}`,
    stderr: "",
  });
}

testBuilds(
  "hands over its variables and stdin, and copies the answer",
  async ({ agent, call }) => {
    assertAnswered(await call({ send: [ACCEPTED, ANSWER] }));
    const variables = "CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0";
    const view = new DataView(agent.call.buffer);
    assert.equal(
      new TextDecoder().decode(agent.call),
      `CNI1\0\0\0${String.fromCharCode(variables.length)}\0\0\0${
        String.fromCharCode(CONFIG.length)
      }${variables}${CONFIG}`,
    );
    assert.equal(view.getUint32(4), variables.length);
    assert.deepEqual([...agent.reply], PRINTED);
  },
);

testBuilds("takes the answer in any pieces", async ({ agent, call }) => {
  const bytes = [...ACCEPTED, ...ANSWER];
  const send = bytes.map((byte) => Uint8Array.of(byte));
  assertAnswered(await call({ send }));
  assert.deepEqual([...agent.reply], PRINTED);
});

testBuilds(
  "runs the executable with the whole stdin, wherever the agent ends",
  async ({ agent, call }, t) => {
    const whole = Uint8Array.from([...ACCEPTED, ...ANSWER]);
    const rows: [name: string, script: AgentScript][] = [
      ["at once", { after: 0, send: [], end: "reset" }],
      ["after the head of the call", { after: 12, send: [], end: "close" }],
      ["after the call", { send: [], end: "close" }],
      ["with a request for the executable", { send: [RUN_EXECUTABLE] }],
      ["with one after it has accepted", { send: [ACCEPTED, RUN_EXECUTABLE] }],
      ["with an unknown message", { send: [nativeMessage(77, [1])] }],
      ["with an answer of 4 GiB", {
        send: [ACCEPTED, nativeMessage(2, [0, 0xffff_ffff, 0xffff_ffff])],
      }],
      ["with notes of 4 GiB", {
        send: [ACCEPTED, nativeMessage(2, [0, 10, 0xffff_ffff])],
      }],
      ...Array.from({ length: whole.length - 1 }, (_, i): [
        string,
        AgentScript,
      ] => [`after ${i + 1} bytes of the answer`, {
        send: [whole.subarray(0, i + 1)],
        end: i % 2 === 0 ? "close" : "reset",
      }]),
    ];
    for (const [name, script] of rows) {
      await t.step(name, async () => {
        assertExecuted(await call(script));
        assert.deepEqual([...agent.reply], []);
      });
    }
  },
);

testBuilds(
  "runs the executable where there is no agent, with its arguments",
  async ({ dir, plugin }, t) => {
    const rows: readonly [name: string, env: Record<string, string>][] = [
      ["nothing listens", { STELLAR_NET_SOCKET: `${dir}/none` }],
      ["a path too long", { STELLAR_NET_SOCKET: `/${"x".repeat(200)}` }],
      ["no path", { STELLAR_NET_SOCKET: "/" }],
      ["VERSION", { CNI_COMMAND: "VERSION" }],
    ];
    for (const [name, env] of rows) {
      await t.step(name, async () => {
        const variables = { ...ENV, ...env };
        const { code, stdout } = await run(plugin, ["a", "b c"], {
          ...{ env: variables, clearEnv: true, stdin: CONFIG },
        });
        assert.deepEqual([code, stdout], [
          ...[9, `executable ${variables.CNI_COMMAND} a b c ${CONFIG.length}`],
        ]);
      });
    }
    await t.step("no command: the command line", async () => {
      const options = { env: {}, clearEnv: true, stdin: "" };
      const { code, stdout } = await run(plugin, ["status"], options);
      assert.deepEqual([code, stdout], [9, "executable  status 0"]);
    });
    await t.step("no executable either: an error of CNI", async () => {
      await Deno.remove(`${dir}/executable`);
      const env = { ...ENV, STELLAR_NET_SOCKET: `${dir}/none` };
      const { code, stdout } = await run(plugin, [], { env, clearEnv: true });
      assert.deepEqual([code, JSON.parse(stdout).code], [1, 11]);
    });
  },
);

testBuilds(
  "runs the executable when the agent's queue of connections is full",
  async ({ dir, plugin }) => {
    const path = `${dir}/full.sock`;
    const server = new Deno.Command("python3", {
      args: ["-c", FULL_QUEUE, path],
      stdout: "piped",
      stdin: "null",
    }).spawn();
    const reader = server.stdout.getReader();
    try {
      await reader.read();
      const startedMs = performance.now();
      assertExecuted(
        await run(plugin, [], {
          env: { ...ENV, STELLAR_NET_SOCKET: path },
          ...{ clearEnv: true, stdin: CONFIG },
        }),
      );
      assert.ok(performance.now() - startedMs >= 1_900, "it tries again first");
    } finally {
      server.kill("SIGKILL");
      await reader.cancel();
      await server.status;
    }
  },
);

/** Listens, and connects until the queue is full. */
const FULL_QUEUE = `
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(0)
clients = []
try:
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect(sys.argv[1])
        clients.append(client)
except BlockingIOError:
    print("full", flush=True)
time.sleep(60)
`;

testBuilds(
  "waits as long as it should, then runs the executable",
  async ({ agent, call, plugin }, t) => {
    const took = async (run: () => Promise<unknown>) => {
      const startedMs = performance.now();
      await run();
      return performance.now() - startedMs;
    };
    await t.step("2 s for an agent that does not accept", async () => {
      const ms = await took(async () =>
        assertExecuted(await call({ send: [] }))
      );
      assert.ok(ms >= 1_990, `${ms}`);
    });
    await t.step("for the answer, as long as the agent says", async () => {
      // Longer than without a word from the agent.
      const send = [nativeMessage(1, [2_500])];
      const ms = await took(async () => assertExecuted(await call({ send })));
      assert.ok(ms >= 2_490, `${ms}`);
    });
    await t.step(
      "10 s for a stdin that stays open, which it hands on",
      async () => {
        agent.script = { send: [ACCEPTED, ANSWER] };
        const startedMs = performance.now();
        const child = new Deno.Command(plugin, {
          ...{ env: { ...ENV, CNI_COMMAND: "DEL" }, clearEnv: true },
          ...{ stdin: "piped", stdout: "piped", stderr: "null" },
        }).spawn();
        const exe = `/proc/${child.pid}/cmdline`;
        await waitFor(
          "the executable",
          async () => (await Deno.readTextFile(exe)).includes("executable"),
        );
        assert.ok(performance.now() - startedMs >= 9_900);
        // It counts its stdin, so it ends only with that.
        const isOver = await Promise.race([
          child.status.then(() => true),
          new Promise((resolve) => setTimeout(resolve, 300, false)),
        ]);
        assert.equal(isOver, false);
        child.kill("SIGKILL");
        await child.status;
        await child.stdout.cancel();
        await child.stdin.close().catch(() => {});
      },
    );
  },
);

testBuilds(
  "hands over up to 1 MiB, and leaves more to the executable",
  async ({ agent, call }, t) => {
    const send = [ACCEPTED, ANSWER];
    await t.step("1 MiB", async () => {
      assertAnswered(await call({ send }, { stdin: "x".repeat(MIB) }));
      assert.equal(agent.call.filter((byte) => byte === 120).length, MIB);
    });
    await t.step("a byte more", async () => {
      const result = await call({ send }, { stdin: "x".repeat(MIB + 1) });
      assertExecuted(result, MIB + 1);
    });
    await t.step("more than the executable takes", async () => {
      const result = await call({ send }, { stdin: "x".repeat(5 * MIB) });
      assertExecuted(result, 4 * MIB + 1);
    });
    await t.step("answers up to 4 MiB", async () => {
      const text = "y".repeat(4 * MIB);
      const answer = nativeMessage(2, [0, text.length, 0], text);
      const { code, stdout } = await call({ send: [ACCEPTED, answer] });
      assert.deepEqual([code, stdout === text], [0, true]);
      const larger = nativeMessage(2, [0, text.length + 1, 0], `${text}y`);
      assertExecuted(await call({ send: [ACCEPTED, larger] }));
    });
  },
);

testBuilds(
  "does not confirm an answer that nobody reads",
  async ({ agent, plugin }) => {
    agent.script = { send: [ACCEPTED, ANSWER] };
    const child = new Deno.Command(plugin, {
      ...{ env: ENV, clearEnv: true },
      ...{ stdin: "piped", stdout: "piped", stderr: "null" },
    }).spawn();
    await child.stdout.cancel();
    await child.stdin.close();
    assert.equal((await child.status).code, 1);
    await agent.ended();
    assert.deepEqual([...agent.reply], []);
  },
);

Deno.test("the native plugin works in any surroundings", (t) =>
  withPlugin(BUILDS["as built"]!, async ({ agent, dir, plugin }) => {
    const rows: readonly [name: string, script: string][] = [
      ["its working directory deleted", 'mkdir d; cd d; rmdir ../d; "$0"'],
      ["no HOME", 'unset HOME; "$0"'],
      ["a HOME that does not exist", 'HOME=/nonexistent "$0"'],
      ["a library to load first", 'LD_PRELOAD=/nonexistent.so "$0"'],
      ["12 MiB of memory", 'ulimit -v 12288; "$0"'],
      ["no file to open", 'ulimit -n 4; "$0"'],
      [
        "an environment of 1,000 variables",
        `i=0
while [ $i -lt 1000 ]; do eval "export V$i=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); done
"$0"`,
      ],
    ];
    for (const [name, script] of rows) {
      await t.step(name, async () => {
        agent.script = { send: [ACCEPTED, ANSWER] };
        const { code, stdout } = await run("sh", ["-c", script, plugin], {
          ...{ cwd: dir, env: ENV, stdin: CONFIG },
        });
        assert.deepEqual([code, stdout], [3, OUTPUT]);
      });
    }
    await t.step("no memory at all: it ends, and prints nothing", async () => {
      const script = 'ulimit -v 1024; "$0" 2>/dev/null';
      const options = { env: ENV, stdin: CONFIG };
      const { code, stdout } = await run("sh", ["-c", script, plugin], options);
      assert.ok(code !== 0);
      assert.equal(stdout, "");
    });
  }));

/** Runs of the fuzzer. */
const RUNS = 400;

Deno.test("the native plugin with sanitizers, whatever bytes the agent sends", () =>
  withPlugin(BUILDS["with sanitizers"]!, async ({ call }) => {
    const valid = [...ACCEPTED, ...ANSWER];
    const anyScript: fc.Arbitrary<AgentScript> = fc.record({
      after: fc.constantFrom(0, 4, 12, 40),
      send: fc.oneof(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
        fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, byte]) => [
          Uint8Array.from(valid.with(at, byte)),
        ]),
        fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.string()).map(
          ([code, out, err, text]) => [
            ACCEPTED,
            nativeMessage(2, [code, out % 64, err % 64], text),
          ],
        ),
      ),
      end: fc.constantFrom("close", "reset"),
    });
    let executed = 0;
    for (const script of drawFuzz(anyScript, RUNS)) {
      const { stdout, stderr } = await call(script);
      assert.doesNotMatch(stderr, /Sanitizer|runtime error/);
      if (stdout === `executable ADD  ${CONFIG.length}`) executed++;
    }
    console.log(`native plugin: ${RUNS} inputs, ${executed} executed`);
    assert.ok(executed > RUNS / 4 && executed < RUNS);
  }));

Deno.test("compileNativePlugin() makes the same bytes in every folder, stripped and static", () =>
  withTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/src/cni`, { recursive: true });
    await must("cp", ["-r", `${ROOT}/src/cni/native`, `${dir}/src/cni`]);
    for (const { triple } of TARGETS) {
      const bytes = await compile(`${dir}/one`, { triple });
      const again = await compile(`${dir}/two`, { triple, root: dir });
      assert.deepEqual(again, bytes, triple);
      const { stdout } = await must("readelf", ["-lSW", `${dir}/one`]);
      assert.match(stdout, /LOAD/);
      assert.doesNotMatch(stdout, /INTERP|\.symtab|\.debug/);
    }
  }));

Deno.test("the native plugin for aarch64 asks the agent too", () =>
  withPlugin(
    (output) => compile(output, { triple: "aarch64-unknown-linux-gnu" }),
    async ({ agent, plugin }) => {
      agent.script = { send: [ACCEPTED, ANSWER] };
      const options = { env: ENV, clearEnv: true, stdin: CONFIG };
      assertAnswered(await run("qemu-aarch64-static", [plugin], options));
      await agent.ended();
      assert.deepEqual([...agent.reply], PRINTED);
    },
  ));

Deno.test("the native plugin has less than 300 lines", async () => {
  assert.ok((await Deno.readTextFile(SOURCE)).split("\n").length < 300);
});
