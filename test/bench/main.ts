/**
 * Measures what DESIGN.md section 12 budgets, side by side with what there is
 * to compare with, and prints tables. Arguments: `--quick` to see only that it
 * works, and the names of benchmarks; without a name, all of them.
 */
import {
  availableParallelism,
  loadavg,
  release,
  type as system,
} from "node:os";
import { benchCni } from "./cni.ts";
import { benchHostLocal } from "./host_local.ts";
import { type Bench, formatReport } from "./report.ts";
import { benchRpc } from "./rpc.ts";
import { benchSubnet } from "./subnet.ts";

const BENCHES: Readonly<Record<string, Bench>> = {
  rpc: benchRpc,
  subnet: benchSubnet,
  "host-local": benchHostLocal,
  cni: benchCni,
};

/** What the figures depend on. */
function formatConditions(): string {
  const load = loadavg()[0]!.toFixed(2);
  return `${availableParallelism()} cores, load ${load} before it started, ` +
    `${system()} ${release()}, Deno ${Deno.version.deno}\n`;
}

const quick = Deno.args.includes("--quick");
const names = Deno.args.filter((arg) => arg !== "--quick");
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
  if (names.length > 0 && !names.includes(name)) continue;
  for (const report of await bench({ quick })) {
    console.log(formatReport(report));
  }
}
