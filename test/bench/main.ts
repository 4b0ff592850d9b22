/**
 * Measures what docs/performance.md has budgets for, side by side with what
 * there is to compare with, and prints tables. Arguments: `--quick` to see only
 * that it works, `--minutes=N` for how long the soak lasts, and the names of
 * benchmarks; without a name, all but the soak, which takes ten minutes.
 */
import {
  availableParallelism,
  loadavg,
  release,
  type as system,
} from "node:os";
import { benchCluster } from "./cluster.ts";
import { benchCni } from "./cni.ts";
import { benchEtcd } from "./etcd.ts";
import { benchHostLocal } from "./host_local.ts";
import { benchJoin } from "./join.ts";
import { type Bench, formatReport } from "./report.ts";
import { benchRoutes } from "./routes.ts";
import { benchRpc } from "./rpc.ts";
import { benchSoak } from "./soak.ts";
import { benchStartup } from "./startup.ts";
import { benchSubnet } from "./subnet.ts";
import { benchThroughput } from "./throughput.ts";

const BENCHES: Readonly<Record<string, Bench>> = {
  rpc: benchRpc,
  subnet: benchSubnet,
  "host-local": benchHostLocal,
  cni: benchCni,
  routes: benchRoutes,
  join: benchJoin,
  cluster: benchCluster,
  etcd: benchEtcd,
  throughput: benchThroughput,
  startup: benchStartup,
  soak: benchSoak,
};
/** Run where they are named, or quick. */
const ASKED_FOR = ["soak"];
const MINUTES = /^--minutes=([1-9]\d{0,4})$/;

/** What the figures depend on. */
function formatConditions(): string {
  return `${availableParallelism()} cores, ${system()} ${release()}, ` +
    `Deno ${Deno.version.deno}, ${formatLoad()} before it started\n`;
}

function formatLoad(): string {
  return `load ${loadavg()[0]!.toFixed(2)}`;
}

const quick = Deno.args.includes("--quick");
const minutes = Deno.args.map((arg) => MINUTES.exec(arg)?.[1]).find(Boolean);
const names = Deno.args.filter((arg) =>
  arg !== "--quick" && !MINUTES.test(arg)
);
const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(
    `Cannot measure ${unknown.join(", ")}: there are ${
      Object.keys(BENCHES).join(", ")
    }`,
  );
  Deno.exit(2);
}
console.log(formatConditions());
for (const [name, bench] of Object.entries(BENCHES)) {
  const isWanted = names.length > 0
    ? names.includes(name)
    : quick || !ASKED_FOR.includes(name);
  if (!isWanted) continue;
  const options = minutes === undefined ? {} : { minutes: Number(minutes) };
  try {
    for (const report of await bench({ quick, ...options })) {
      console.log(formatReport(report));
    }
  } catch (error) {
    // The others may do: that of routes needs root, for one.
    console.error(`Cannot measure ${name}:`, error, "\n");
    Deno.exitCode = 1;
  }
}
console.log(`${formatLoad()} at the end`);
