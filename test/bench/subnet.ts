import { performance } from "node:perf_hooks";
import type { SpawnedAgent } from "../support/spawn_agent.ts";
import { startAgent } from "./agent.ts";
import { type Load, type LoadClients, startLoadClients } from "./load.ts";
import { SERVICE } from "./load_client.ts";
import { residentMiB } from "./proc_stat.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** MiB of the budget: idle, and after the requests with the subnet full. */
const BUDGET_IDLE_MIB = 100;
const BUDGET_FULL_MIB = 250;
/** How soon an agent that was killed serves again, in ms. */
const BUDGET_RESTART_MS = 1000;

const FULL = { prefix: 16, sample: 1000, requests: 100_000 };
const QUICK = { prefix: 24, sample: 50, requests: 400 };

/** Fills a subnet: the cost of its first and last addresses, memory, and a restart. */
export async function benchSubnet(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const size = quick ? QUICK : FULL;
  const capacity = 2 ** (32 - size.prefix) - 3;
  const name = `/${size.prefix}`;
  await using agent = await startAgent(size.prefix);
  const idleMiB = residentMiB(agent.pid);
  const filled = await fill(agent, { ...size, capacity });
  const memory = [
    memoryRow("idle", idleMiB, BUDGET_IDLE_MIB),
    memoryRow(`${name} full`, filled.fullMiB, BUDGET_FULL_MIB),
    memoryRow(
      `${name} full, ${size.requests} requests`,
      filled.requestsMiB,
      BUDGET_FULL_MIB,
    ),
  ];
  const restart = await measureRestart(agent);
  return [
    {
      title:
        `subnet: the first and the last ${size.sample} addresses of a ${name}`,
      columns: ["", "median ms", "p95 ms", "agent us", "of the first"],
      rows: [
        addressRow("first", filled.first, filled.first),
        addressRow("last", filled.last, filled.first),
      ],
      notes: [
        "One call at a time. us: processor time of the agent for one call.",
      ],
    },
    {
      title: "memory: resident, of the agent",
      columns: ["", "MiB", "of budget"],
      rows: [
        ...memory,
        memoryRow("started again", restart.residentMiB, BUDGET_FULL_MIB),
      ],
    },
    {
      title: `restart: killed and started again with the ${name} full`,
      columns: ["", "ms", "of budget"],
      rows: [
        restartRow("serves", restart.servesMs),
        restartRow("has answered for an address", restart.answeredMs),
      ],
      notes: ["From the start of the process."],
    },
  ];
}

interface Filled {
  readonly first: Load;
  readonly last: Load;
  readonly fullMiB: number;
  readonly requestsMiB: number;
}

async function fill(
  agent: SpawnedAgent,
  size: typeof FULL & { readonly capacity: number },
): Promise<Filled> {
  const { sample, capacity, requests } = size;
  await using clients = startLoadClients({
    kind: "grpc-js",
    port: agent.port,
    pid: agent.pid,
  });
  const warmUp = { first: 0, count: sample, atOnce: 1 };
  await allocate(clients, warmUp);
  await clients.run({ ...warmUp, method: "ReleaseIP" });
  const first = await allocate(clients, { first: 0, count: sample, atOnce: 1 });
  const between = capacity - 2 * sample;
  await allocate(clients, { first: sample, count: between, atOnce: 64 });
  const last = await allocate(clients, {
    first: sample + between,
    count: sample,
    atOnce: 1,
  });
  const fullMiB = residentMiB(agent.pid);
  const again = Math.ceil((requests - capacity - 2 * sample) / 2);
  const rest = { first: 0, count: again, atOnce: 64 };
  await clients.run({ ...rest, method: "ReleaseIP" });
  await allocate(clients, rest);
  return { first, last, fullMiB, requestsMiB: residentMiB(agent.pid) };
}

function allocate(
  clients: LoadClients,
  phase: { first: number; count: number; atOnce: number },
): Promise<Load> {
  return clients.run({ ...phase, method: "AllocateIP" });
}

async function measureRestart(agent: SpawnedAgent): Promise<{
  readonly servesMs: number;
  readonly answeredMs: number;
  readonly residentMiB: number;
}> {
  await agent.kill("SIGKILL");
  const startedAt = performance.now();
  await agent.start();
  const servesMs = performance.now() - startedAt;
  const response = await fetch(`${agent.url}/${SERVICE}/GetIP`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: "container-0", node: "node1" }),
  });
  const { ip } = await response.json();
  if (!ip) throw new Error("Cannot measure: the address is lost");
  return {
    servesMs,
    answeredMs: performance.now() - startedAt,
    residentMiB: residentMiB(agent.pid),
  };
}

function addressRow(name: string, load: Load, first: Load): string[] {
  return [
    name,
    formatNumber(load.medianMs),
    formatNumber(load.p95Ms),
    load.agentUs.toFixed(0),
    formatRatio(load.medianMs / first.medianMs),
  ];
}

function memoryRow(name: string, mib: number, budgetMiB: number): string[] {
  return [name, mib.toFixed(0), formatRatio(mib / budgetMiB)];
}

function restartRow(name: string, ms: number): string[] {
  return [name, ms.toFixed(0), formatRatio(ms / BUDGET_RESTART_MS)];
}
