/**
 * Measures what docs/performance.md has budgets for, side by side with what
 * there is to compare with, and prints tables. Arguments: `--quick` to see only
 * that it works, `--minutes N` for how long those that last do, `--ops N` and `--seed S`
 * for the random ones, `--before DIR` to compare with the sources in another folder,
 * and the names of benchmarks; without a name, all but those that last: the page,
 * the soak, the hammer, the healthy hours, reclaim, the interrupted calls, and the comparison.
 */
import {
  availableParallelism,
  loadavg,
  release,
  type as system,
} from "node:os";
import { parseArgs } from "node:util";
import { benchBefore } from "./before.ts";
import { benchCluster } from "./cluster.ts";
import { benchCni } from "./cni.ts";
import { benchEtcd } from "./etcd.ts";
import { benchHammer } from "./hammer.ts";
import { benchHealthy } from "./healthy.ts";
import { benchHostLocal } from "./host_local.ts";
import { benchInterrupted } from "./interrupted.ts";
import { benchJoin } from "./join.ts";
import { benchPage } from "./page.ts";
import { benchProbes } from "./probes.ts";
import { benchReclaim } from "./reclaim.ts";
import { type Bench, type BenchOptions, formatReport } from "./report.ts";
import { benchKinds } from "./kinds.ts";
import { benchRoutes } from "./routes.ts";
import { benchRpc } from "./rpc.ts";
import { benchSoak } from "./soak.ts";
import { benchStartup } from "./startup.ts";
import { benchSubnet } from "./subnet.ts";
import { benchThroughput } from "./throughput.ts";
import { benchView } from "./view.ts";

const BENCHES: Readonly<Record<string, Bench>> = {
  rpc: benchRpc,
  subnet: benchSubnet,
  "host-local": benchHostLocal,
  cni: benchCni,
  routes: benchRoutes,
  join: benchJoin,
  cluster: benchCluster,
  view: benchView,
  page: benchPage,
  probes: benchProbes,
  etcd: benchEtcd,
  throughput: benchThroughput,
  startup: benchStartup,
  before: benchBefore,
  soak: benchSoak,
  hammer: benchHammer,
  healthy: benchHealthy,
  kinds: benchKinds,
  interrupted: benchInterrupted,
  reclaim: benchReclaim,
};
/** Drills, which find faults and measure nothing: run where they are named. */
const DRILLS = ["hammer", "healthy", "kinds", "interrupted", "reclaim"];
/** Run where they are named, or quick. */
const LONG = ["page", "before", "soak"];
const NUMBER = /^[1-9]\d{0,8}$/;

/** What the figures depend on. */
function formatConditions(): string {
  return `${availableParallelism()} cores, ${system()} ${release()}, ` +
    `Deno ${Deno.version.deno}, ${formatLoad()} before it started\n`;
}

function formatLoad(): string {
  return `load ${loadavg()[0]!.toFixed(2)}`;
}

/** The arguments. Ends the process when they are wrong. */
function readArgs(): { readonly names: readonly string[] } & BenchOptions {
  const refuse = (what: string): never => {
    console.error(`Cannot measure ${what}`);
    Deno.exit(2);
  };
  const text = { type: "string" } as const;
  const options = {
    quick: { type: "boolean" },
    before: text,
    minutes: text,
    ops: text,
    seed: text,
  } as const;
  const { values, positionals: names } = (() => {
    try {
      return parseArgs({ args: Deno.args, options, allowPositionals: true });
    } catch (error) {
      return refuse(`so: ${error instanceof Error ? error.message : error}`);
    }
  })();
  const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0) {
    const known = Object.keys(BENCHES).join(", ");
    refuse(`${unknown.join(", ")}: there are ${known}`);
  }
  const number = (flag: "minutes" | "ops" | "seed") => {
    const value = values[flag];
    if (value === undefined) return undefined;
    return NUMBER.test(value)
      ? Number(value)
      : refuse(`with --${flag} "${value}": it is no number from 1 on`);
  };
  const { before } = values;
  const minutes = number("minutes");
  const operations = number("ops");
  const seed = number("seed");
  return {
    ...{ names, quick: values.quick ?? false },
    ...before !== undefined && { before },
    ...minutes !== undefined && { minutes },
    ...operations !== undefined && { operations },
    ...seed !== undefined && { seed },
  };
}

const { names, ...options } = readArgs();
console.log(formatConditions());
for (const [name, bench] of Object.entries(BENCHES)) {
  const isWanted = names.length > 0
    ? names.includes(name)
    : !DRILLS.includes(name) && (options.quick || !LONG.includes(name));
  if (!isWanted) continue;
  try {
    for (const report of await bench(options)) {
      console.log(formatReport(report));
    }
  } catch (error) {
    // The others may do: that of routes needs root, for one.
    console.error(`Cannot measure ${name}:`, error, "\n");
    Deno.exitCode = 1;
  }
}
console.log(`${formatLoad()} at the end`);
