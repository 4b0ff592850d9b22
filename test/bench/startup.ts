import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { builtProgram } from "../support/built_program.ts";
import { freePort } from "../support/free_port.ts";
import { ProgramAgent } from "../support/program_agent.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { percentile } from "./percentile.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** A face of the program, or what to compare it with. */
interface Subject {
  readonly name: string;
  /** Runs whole processes; `program` is a file. */
  run(program: string): Promise<void>;
}

const EMPTY = "an empty script on the runtime";

/**
 * Measures whole processes of each face of the executable, beside the sources,
 * in turn.
 */
export async function benchStartup(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const { path, info } = await builtProgram();
  return await withTempDir(async (dir) => {
    const launchers = {
      sources: await writeLauncher(`${dir}/sources`, join(ROOT, "main.ts")),
      built: path,
      empty: await writeLauncher(`${dir}/empty`, await writeEmpty(dir)),
    };
    const times = new Map<string, number[]>();
    const measure = async (name: string, action: () => Promise<void>) => {
      const start = performance.now();
      await action();
      const ms = performance.now() - start;
      times.set(name, [...times.get(name) ?? [], ms]);
    };
    const subjects = createSubjects(dir);
    // The first run of each compiles what the others find in the cache.
    for (let round = 0; round <= (quick ? 2 : 40); round++) {
      if (round === 1) times.clear();
      await measure(EMPTY, () => must(launchers.empty, []));
      for (const { name, run } of subjects) {
        await measure(`${name}, sources`, () => run(launchers.sources));
        await measure(`${name}, built`, () => run(launchers.built));
      }
    }
    return [report(times, info.kind)];
  });
}

function createSubjects(dir: string): Subject[] {
  return [
    {
      name: "CNI plugin, VERSION",
      run: (program) => must(program, [], "VERSION"),
    },
    { name: "command line", run: (program) => must(program, ["--version"]) },
    {
      name: "agent, until it serves and has stopped",
      async run(program) {
        const folder = await Deno.makeTempDir({ dir });
        const port = freePort();
        await using agent = await ProgramAgent.start({
          ...{ program, dir: folder, port, env: {} },
        });
        await agent.stop();
      },
    },
  ];
}

async function must(
  program: string,
  args: readonly string[],
  cniCommand?: string,
): Promise<void> {
  const { code, stderr } = await run(program, args, {
    env: cniCommand === undefined ? {} : { CNI_COMMAND: cniCommand },
    stdin: '{"cniVersion":"1.0.0"}',
  });
  if (code !== 0) throw new Error(`Cannot run ${program}: ${stderr}`);
}

/** Writes a script that starts a module as the tasks do. */
async function writeLauncher(path: string, module: string): Promise<string> {
  const command = `exec "${Deno.execPath()}" run -A --quiet "${module}" "$@"`;
  await Deno.writeTextFile(path, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  return path;
}

async function writeEmpty(dir: string): Promise<string> {
  await Deno.writeTextFile(`${dir}/empty.js`, "export {};\n");
  return `${dir}/empty.js`;
}

function report(
  times: ReadonlyMap<string, readonly number[]>,
  kind: string,
): BenchReport {
  const rows = [...times].map(([name, ms]) => ({
    name,
    medianMs: percentile(ms, 0.5),
    p95Ms: percentile(ms, 0.95),
  }));
  const medianOf = (name: string) =>
    rows.find((row) => row.name === name)!.medianMs;
  return {
    title: `startup: whole processes, built: ${kind}`,
    columns: ["", "median ms", "p95 ms", "of empty", "of sources"],
    rows: rows.map(({ name, medianMs, p95Ms }) => {
      const sources = name.replace(/, built$/, ", sources");
      return [
        name,
        formatNumber(medianMs),
        formatNumber(p95Ms),
        formatRatio(medianMs / medianOf(EMPTY)),
        formatRatio(medianMs / medianOf(sources)),
      ];
    }),
    notes: [
      "in turn; the executable has been started before, and is unpacked",
    ],
  };
}
