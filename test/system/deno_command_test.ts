import { withTempDir } from "../support/temp_dir.ts";
import { run } from "../support/run.ts";
import { ROOT } from "../generate.ts";
import assert from "node:assert/strict";
import {
  DenoCommandFollower,
  DenoCommandRunner,
} from "../../src/system/deno_command.ts";
import { waitFor } from "../support/wait_for.ts";

/** More than a pipe holds. */
const MUCH = "a line of no importance\n".repeat(50_000);

Deno.test("DenoCommandRunner feeds a program that speaks before it has read all", async () => {
  const args = ["-c", "cat >&2; echo done"];
  const output = await new DenoCommandRunner().run({
    program: "sh",
    args,
    stdin: MUCH,
  });
  assert.equal(output.stderr, MUCH);
  assert.equal(output.stdout, "done\n");
});

Deno.test("DenoCommandRunner takes a program as it ends, though it has not read all", async () => {
  const args = ["-c", "echo no >&2; exit 3"];
  const output = await new DenoCommandRunner().run({
    program: "sh",
    args,
    stdin: MUCH,
  });
  const { pid = 0, ...rest } = output;
  assert.deepEqual(rest, { code: 3, stdout: "", stderr: "no\n" });
  assert.ok(pid > 1);
});

const SIGNAL = new AbortController().signal;

/** Says its process id, and goes on. */
const ENDLESS = "echo $$; exec sleep 1000";

Deno.test("DenoCommandFollower yields the output of a program from both streams, to its end", async () => {
  let said = "";
  for await (
    const line of follow('echo "$LC_ALL"; echo err >&2; exit 3', SIGNAL)
  ) said += `${line}\n`;
  assert.deepEqual(said.split("\n").toSorted(), ["", "C", "err"]);
});

Deno.test("DenoCommandFollower ends a program that is left", async () => {
  let pid = "";
  for await (const text of follow(ENDLESS, SIGNAL)) {
    pid = text.trim();
    break;
  }
  await assert.rejects(Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
});

Deno.test("DenoCommandFollower ends a program, and the sequence, by its signal", async () => {
  const abort = new AbortController();
  const pids: string[] = [];
  for await (const text of follow(ENDLESS, abort.signal)) {
    pids.push(text.trim());
    abort.abort();
  }
  assert.equal(pids.length, 1);
  await assert.rejects(Deno.stat(`/proc/${pids[0]}`), Deno.errors.NotFound);
  for await (const _ of follow(ENDLESS, abort.signal)) assert.fail();
});

Deno.test("DenoCommandFollower ends in peace when a signal has ended all programs of the group", async () => {
  const abort = new AbortController();
  let lines = 0;
  for await (const text of follow(ENDLESS, abort.signal)) {
    const program = Number(text.trim());
    // The program, and the one that guards it.
    const pids = await childrenOf(Deno.pid);
    assert.ok(pids.includes(program) && pids.length >= 2, `${pids}`);
    for (const pid of pids) Deno.kill(pid, "SIGTERM");
    for (const pid of pids) {
      await waitFor("it to end", async () => await hasEnded(pid));
    }
    lines++;
    abort.abort();
  }
  assert.equal(lines, 1);
});

Deno.test("DenoCommandFollower ends a program with this process, however that ends", async () => {
  const module = import.meta.resolve(
    "../../src/system/deno_command.ts",
  );
  const script = `
    import { DenoCommandFollower } from "${module}";
    const command = { program: "sh", args: ["-c", "${ENDLESS}"] };
    const { signal } = new AbortController();
    for await (const text of new DenoCommandFollower().follow(command, { signal })) {
      console.log(text.trim());
    }`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const pid = (await reader.read()).value!.trim();
  await Deno.stat(`/proc/${pid}`);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  await waitFor("the program to end", () => hasEnded(Number(pid)));
});

Deno.test("DenoCommandFollower names a program that is not installed", async () => {
  const follower = new DenoCommandFollower();
  const command = { program: "no-such-program", args: [] };
  await assert.rejects(
    follower.follow(command, { signal: SIGNAL }).next(),
    {
      code: "unavailable",
      message: 'Cannot run "no-such-program": it is not installed',
    },
  );
});

/** The processes that a process has started, and that run (proc(5)). */
async function childrenOf(parent: number): Promise<number[]> {
  const pids: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await Deno.readTextFile(`/proc/${name}/stat`).catch(() => "");
    const [, state, ppid] = /\) (\S) (\d+) /.exec(stat) ?? [];
    if (Number(ppid) === parent && state !== "Z") pids.push(Number(name));
  }
  return pids;
}

/** Whether a process is gone, or waits for its parent to hear of its end (proc(5)). */
async function hasEnded(pid: number): Promise<boolean> {
  try {
    return /\) Z /.test(await Deno.readTextFile(`/proc/${pid}/stat`));
  } catch {
    return true;
  }
}

function follow(script: string, signal: AbortSignal): AsyncIterable<string> {
  const command = { program: "sh", args: ["-c", script] };
  return new DenoCommandFollower().follow(command, { signal });
}

Deno.test("DenoCommandRunner ends a program after ten seconds, or after its limit", async () => {
  const real = AbortSignal.timeout;
  const limits: number[] = [];
  AbortSignal.timeout = (ms) => {
    limits.push(ms);
    return real.call(AbortSignal, 20);
  };
  try {
    for (const options of [{}, { timeoutMs: 500 }]) {
      const run = new DenoCommandRunner(options)
        .run({ program: "sleep", args: ["1000"] });
      await assert.rejects(run, {
        code: "unavailable",
        message: /ended by SIGTERM/,
      });
    }
  } finally {
    AbortSignal.timeout = real;
  }
  assert.deepEqual(limits, [10_000, 500]);
});

/** Runs a program as a built program does: it may start only `env`, and read only PATH. */
async function runLimited(
  program: string,
  env: (dir: string) => Promise<Record<string, string>>,
  grants: readonly string[] = ["--allow-run=env", "--allow-env=PATH"],
): Promise<string> {
  return await withTempDir(async (dir) => {
    const main = `${dir}/main.ts`;
    const module = new URL(
      "../../src/system/deno_command.ts",
      import.meta.url,
    );
    await Deno.writeTextFile(
      main,
      `import { DenoCommandRunner } from "${module}";
const runner = new DenoCommandRunner();
const command = { program: "${program}", args: [] };
const done = await runner.run(command).catch((error) => error);
console.log(done.stdout ?? done.message);`,
    );
    const { code, stdout, stderr } = await run(Deno.execPath(), [
      ...["run", "--config", `${ROOT}/deno.json`],
      ...[...grants, main],
    ], { env: await env(dir) });
    assert.equal(code, 0, stderr);
    return stdout;
  });
}

Deno.test("DenoCommandRunner starts programs with LD_PRELOAD in the environment, as a built program may", async () => {
  const stdout = await runLimited(
    "env",
    () => Promise.resolve({ LD_PRELOAD: "/nonexistent.so" }),
  );
  assert.match(stdout, /^LC_ALL=C$/m);
  assert.doesNotMatch(stdout, /LD_PRELOAD/);
});

Deno.test("DenoCommandRunner starts programs of any PATH, as a built program may", async () => {
  let path = "";
  const stdout = await runLimited("env", async (dir) => {
    path = `${dir}/bin`;
    await Deno.mkdir(path);
    const env = await run("sh", ["-c", "command -v env"]);
    await Deno.copyFile(env.stdout.trim(), `${path}/env`);
    return { PATH: path };
  });
  const [locale, found] = stdout.trim().split("\n").sort();
  assert.equal(locale, "LC_ALL=C");
  // The runtime puts a folder of its own first.
  assert.ok(found?.endsWith(path), stdout);
});

Deno.test("DenoCommandRunner says which program a built program did not find", async () => {
  const stdout = await runLimited("ls", () => Promise.resolve({}));
  assert.equal(
    stdout.trim(),
    'Cannot run "ls": it was in no folder of PATH when this process started',
  );
});

Deno.test("DenoCommandRunner says that it may not read PATH", async () => {
  const stdout = await runLimited("env", () => Promise.resolve({}), [
    "--allow-run=env",
  ]);
  assert.equal(
    stdout.trim(),
    'Cannot run "env": this process may not read the variable PATH',
  );
});
