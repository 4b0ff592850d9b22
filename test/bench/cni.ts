import { join } from "node:path";
import {
  callPlugin,
  DEBIAN_PLUGINS,
  installPlugin,
  type PluginKind,
} from "../support/cni_plugin.ts";
import type { SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { startAgent } from "./agent.ts";
import { childrenOf, proportionalMiB } from "./proc_stat.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** How an ADD of the native plugin may compare with one of host-local. */
const BUDGET_RATIO = 1;
/** How much memory a hundred ADDs at once may take besides the idle agent, in MiB. */
const BUDGET_MIB = 40;
const NATIVE_ADD = "native ADD";
const HOST_LOCAL_ADD = "host-local ADD";

/** A process that is measured. */
interface Subject {
  readonly name: string;
  /** Runs it once, for the container of a number. */
  run(container: number): Promise<void>;
}

/** Times of several runs of one process. */
interface Cost {
  readonly name: string;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly perSecond: number;
}

/** Measures ADD and DEL as whole processes, in turn and many at once. */
export async function benchCni(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const rounds = quick ? 3 : 100;
  const atOnce = quick ? 4 : 100;
  await using agent = await startAgent(16);
  return await withTempDir(async (dir) => {
    const subjects = await createSubjects(dir, agent);
    // The first run of each compiles what the others find in the cache.
    for (const subject of subjects) await subject.run(0);
    const inTurn = await measureInTurn(subjects, rounds);
    const burst: Cost[] = [];
    for (const subject of subjects) {
      burst.push(await measureBurst(subject, atOnce));
    }
    // Sampling takes time of its own, so it has a burst of its own.
    const memory = [];
    for (const subject of subjects) {
      memory.push(await measureMemory(subject, { atOnce, pid: agent.pid }));
    }
    return [
      report(`cni: one process at a time, ${rounds} of each in turn`, inTurn, [
        describeRatio(inTurn),
      ]),
      report(`cni: ${atOnce} processes at once`, burst, [
        "median and p95: until a process has ended, from the start of them all.",
        describeRatio(burst),
      ]),
      {
        title: `cni: memory of ${atOnce} processes at once`,
        columns: ["", "peak MiB"],
        rows: memory.map(({ name, mib }) => [name, formatNumber(mib)]),
        notes: [
          "Peak of the agent and of all processes together (Pss in proc(5)), besides the idle agent.",
          `The budget for ${NATIVE_ADD} is ${BUDGET_MIB} MiB.`,
        ],
      },
    ];
  });
}

function describeRatio(costs: readonly Cost[]): string {
  const [ours, theirs] = [NATIVE_ADD, HOST_LOCAL_ADD].map((name) =>
    costs.find((cost) => cost.name === name)!.medianMs
  );
  return `${NATIVE_ADD} takes ${
    formatRatio(ours! / theirs!)
  } of ${HOST_LOCAL_ADD}; the budget is ${formatRatio(BUDGET_RATIO)}.`;
}

/** The empty script first, then both kinds of this plugin, then host-local. */
async function createSubjects(
  dir: string,
  agent: SpawnedAgent,
): Promise<Subject[]> {
  const { socketPath } = agent;
  const install = async (kind: PluginKind) => {
    await Deno.mkdir(join(dir, kind));
    return await installPlugin(join(dir, kind), { kind, socketPath });
  };
  const executable = await install("executable");
  const native = await install("native");
  const empty = await installEmptyScript(dir, executable);
  const ours = { type: "stellar-net", socket: socketPath };
  const theirs = {
    type: "host-local",
    subnet: "10.0.0.0/16",
    dataDir: join(dir, "host-local"),
  };
  const hostLocal = join(DEBIAN_PLUGINS, "host-local");
  const subject = (
    name: string,
    { path, ipam }: { path: string; ipam: unknown },
  ): Subject => ({
    name,
    run: (n) => runPlugin(path, { verb: name.split(" ").at(-1)!, ipam, n }),
  });
  return [
    {
      name: "empty script",
      run: (n) => runPlugin(empty, { verb: "ADD", ipam: ours, n }),
    },
    subject("ADD", { path: executable, ipam: ours }),
    subject("DEL", { path: executable, ipam: ours }),
    subject(NATIVE_ADD, { path: native, ipam: ours }),
    subject("native DEL", { path: native, ipam: ours }),
    subject(HOST_LOCAL_ADD, { path: hostLocal, ipam: theirs }),
    subject("host-local DEL", { path: hostLocal, ipam: theirs }),
  ];
}

/** Installs an empty script that is started as the plugin is. Returns its path. */
async function installEmptyScript(
  dir: string,
  plugin: string,
): Promise<string> {
  const script = join(dir, "empty.js");
  const path = join(dir, "empty");
  await Deno.writeTextFile(script, "export {};\n");
  const launcher = await Deno.readTextFile(plugin);
  const changed = launcher.replace(/'[^']*\/main\.[jt]s'/, `'${script}'`);
  if (changed === launcher) {
    throw new Error(`Cannot make an empty script of "${plugin}": ${launcher}`);
  }
  await Deno.writeTextFile(path, changed, { mode: 0o755 });
  return path;
}

async function runPlugin(
  path: string,
  call: {
    readonly verb: string;
    readonly ipam: unknown;
    readonly n: number;
  },
): Promise<void> {
  const { code, stdout } = await callPlugin(path, {
    env: {
      CNI_COMMAND: call.verb,
      CNI_CONTAINERID: `container-${call.n}`,
      CNI_IFNAME: "eth0",
      CNI_NETNS: `/run/netns/container-${call.n}`,
      CNI_PATH: DEBIAN_PLUGINS,
    },
    config: { cniVersion: "1.0.0", name: "bench", ipam: call.ipam },
  });
  if (code !== 0) throw new Error(`Cannot ${call.verb}: ${stdout}`);
}

async function measureInTurn(
  subjects: readonly Subject[],
  rounds: number,
): Promise<Cost[]> {
  const times = subjects.map((): number[] => []);
  for (let round = 1; round <= rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      const start = performance.now();
      await subject.run(round);
      times[index]!.push(performance.now() - start);
    }
  }
  return subjects.map(({ name }, index) => {
    const seconds = times[index]!.reduce((sum, ms) => sum + ms, 0) / 1000;
    return cost(name, times[index]!, seconds);
  });
}

async function measureBurst(subject: Subject, count: number): Promise<Cost> {
  const start = performance.now();
  const times = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      await subject.run(n);
      return performance.now() - start;
    }),
  );
  return cost(subject.name, times, (performance.now() - start) / 1000);
}

/** Measures the memory of many processes at once, and of the agent, besides the idle agent. */
async function measureMemory(
  subject: Subject,
  { atOnce, pid }: { readonly atOnce: number; readonly pid: number },
): Promise<{ readonly name: string; readonly mib: number }> {
  const before = proportionalMiB([pid]);
  const done = Promise.all(
    Array.from({ length: atOnce }, (_, n) => subject.run(n)),
  );
  let isDone = false;
  done.finally(() => isDone = true).catch(() => {});
  let peak = before;
  while (!isDone) {
    const startedMs = performance.now();
    const pids = new Set([pid, ...childrenOf(Deno.pid)]);
    peak = Math.max(peak, proportionalMiB([...pids]));
    // This process feeds the others, which takes time too.
    const tookMs = performance.now() - startedMs;
    await new Promise((resolve) => setTimeout(resolve, 5 + 2 * tookMs));
  }
  await done;
  return { name: subject.name, mib: peak - before };
}

function cost(name: string, times: readonly number[], seconds: number): Cost {
  const sorted = [...times].sort((a, b) => a - b);
  return {
    name,
    medianMs: sorted[Math.floor(sorted.length / 2)]!,
    p95Ms: sorted[Math.floor(sorted.length * 0.95)]!,
    perSecond: times.length / seconds,
  };
}

function report(
  title: string,
  costs: readonly Cost[],
  notes: readonly string[],
): BenchReport {
  const [empty] = costs;
  return {
    title,
    columns: ["", "median ms", "of empty", "p95 ms", "of empty", "a second"],
    rows: costs.map(({ name, medianMs, p95Ms, perSecond }) => [
      name,
      formatNumber(medianMs),
      formatRatio(medianMs / empty!.medianMs),
      formatNumber(p95Ms),
      formatRatio(p95Ms / empty!.p95Ms),
      formatNumber(perSecond),
    ]),
    notes,
  };
}
