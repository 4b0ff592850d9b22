/**
 * Runs the tests in a few processes side by side: `deno task test`,
 * `deno task test:unit`, `deno task test:pure`. Words behind the kind go to
 * `deno test`, such as `--filter allocation`.
 *
 * Tests run in processes, not in threads (`deno test --parallel`): some change
 * what a whole process has, such as its umask.
 */
import { relative } from "node:path";
import { CONFIG, ROOT } from "./generate.ts";
import { walkFiles } from "./support/files.ts";
import { LONG_TESTS } from "./support/long_tests.ts";
import { CRYPTO, PURE } from "./support/layers.ts";
import { run } from "./support/run.ts";
import {
  addSummaries,
  formatSeconds,
  formatSummary,
  readFailures,
  readHung,
  readSummary,
  readTimes,
  type TestSummary,
} from "./support/test_summary.ts";

/** The kinds of tests, each with the files that it runs. */
const KINDS: Readonly<Record<string, (file: string) => boolean>> = {
  pure: isPure,
  unit: (file) => !isAlone(file),
  all: () => true,
};

/** Files of one process: enough that its start does not count, few enough to share out. */
const FILES_A_PROCESS = 20;
/** More than processors, since most tests wait for an agent or a timer. */
const PROCESSES_A_CORE = 3;
/** What a process needs at most, in bytes: a lab has up to ten agents. */
const PROCESS_BYTES = 2 * 1024 ** 3;
/** A process that takes longer hangs. */
const TIMEOUT_MS = 600_000;
/** Tells the processes that they are one run: they build the executable once. */
const TEST_RUN = crypto.randomUUID();
/** Tests that take longer are named at the end. */
const SLOW_S = 30;

/** Whether a file tests what needs no system: those tests are the fastest. */
function isPure(file: string): boolean {
  return [...PURE, ...CRYPTO].some((path) =>
    file.startsWith(path.replace("src/", "test/").replace(/\.ts$/, "_test.ts"))
  );
}

/** Whether a file runs for seconds, and has a process for itself. */
function isAlone(file: string): boolean {
  return /^test\/(integration|bench|conformance)\//.test(file);
}

/**
 * Shares files out to processes, in the order in which they start: the longest
 * first, so that no process is left with a long one while others have none.
 */
function share(files: readonly string[]): string[][] {
  const isLong = (file: string) => LONG_TESTS.has(file);
  const long = [...LONG_TESTS.keys()].filter((file) => files.includes(file));
  const alone = files.filter((file) => isAlone(file) && !isLong(file));
  const short = files.filter((file) => !isAlone(file));
  const chunks: string[][] = [];
  for (let at = 0; at < short.length; at += FILES_A_PROCESS) {
    chunks.push(short.slice(at, at + FILES_A_PROCESS));
  }
  return [...[...long, ...alone].map((file) => [file]), ...chunks];
}

/** How many processes run side by side. */
function countProcesses(): number {
  const { available } = Deno.systemMemoryInfo();
  const most = Math.floor(available / PROCESS_BYTES);
  const wanted = PROCESSES_A_CORE * navigator.hardwareConcurrency;
  return Math.max(1, Math.min(wanted, most));
}

interface Job {
  readonly summary: TestSummary;
  readonly output: string;
}

async function runJob(
  files: readonly string[],
  flags: readonly string[],
): Promise<Job> {
  const args = ["test", "-A", "--no-check", ...CONFIG, ...flags, ...files];
  const { code, stdout, stderr } = await run(Deno.execPath(), args, {
    cwd: ROOT,
    env: { NO_COLOR: "1", STELLAR_NET_TEST_RUN: TEST_RUN },
    timeoutMs: TIMEOUT_MS,
  }).catch((error) => ({ code: 1, stdout: "", stderr: `${error.message}\n` }));
  const output = stdout + stderr;
  return { summary: readSummary(output, code), output };
}

async function checkTypes(): Promise<Job> {
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    ["check", "--quiet", ...CONFIG, "test/", "main.ts"],
    { cwd: ROOT, timeoutMs: TIMEOUT_MS },
  );
  // They count when they are wrong: they are no test.
  const summary = { ...addSummaries([]), failed: code === 0 ? 0 : 1 };
  return { summary, output: stdout + stderr };
}

async function main(): Promise<number> {
  const [kind = "all", ...flags] = Deno.args;
  const isWanted = KINDS[kind];
  if (isWanted === undefined) {
    console.error(
      `Cannot run the tests "${kind}": there are ${
        Object.keys(KINDS).join(", ")
      }`,
    );
    return 2;
  }
  const startedMs = performance.now();
  const files = (await walkFiles(`${ROOT}/test`))
    .map((file) => relative(ROOT, file))
    .filter((file) => file.endsWith("_test.ts") && isWanted(file)).sort();
  // First: it fetches all packages, also for tests that have no network.
  const types = await checkTypes();
  console.log(types.output.trim());
  const done = [types];
  const queue = share(files);
  const work = async () => {
    for (let some = queue.shift(); some; some = queue.shift()) {
      const job = await runJob(some, flags);
      done.push(job);
      console.log(job.output.trim());
    }
  };
  await Promise.all(Array.from({ length: countProcesses() }, work));
  const output = done.map(({ output }) => output);
  const slow = output.flatMap(readTimes)
    .filter(({ seconds }) => seconds >= SLOW_S)
    .sort((a, b) => b.seconds - a.seconds);
  const summary = addSummaries(done.map(({ summary }) => summary));
  console.log([
    "",
    ...slow.map(({ name, seconds }) => `${formatSeconds(seconds)}  ${name}`),
    ...output.flatMap(readFailures).map((name) => `FAILED  ${name}`),
    ...output.flatMap((text) => readHung(text) ?? [])
      .map((name) => `HUNG    ${name}`),
    formatSummary(summary, (performance.now() - startedMs) / 1000),
  ].join("\n"));
  return summary.failed === 0 ? 0 : 1;
}

Deno.exit(await main());
