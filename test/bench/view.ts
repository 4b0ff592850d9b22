import { toBinary } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { encodeReport } from "../../src/api/messages/cluster.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import type { Report } from "../../src/cluster/plan/report.ts";
import {
  ClusterService,
  ClusterServiceWatchResponseSchema,
} from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";
import { startRegistry } from "./agent.ts";
import { processorMs, residentMiB } from "./proc_stat.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

/** Calls of hosts at once. */
const AT_ONCE = 64;
const HEARTBEAT_SECONDS = 5;

/** A simulated host. */
interface Host {
  readonly node: string;
  readonly subnet: string;
}

/**
 * One registry and thousands of hosts that report: bytes and processor time of
 * heartbeats with and without a report, memory, and the time until the whole
 * cluster is on the screen.
 */
export async function benchView(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const count = quick ? 64 : 4096;
  await using agent = await startRegistry();
  const transport = createRpcTransport({ url: agent.url });
  const registry = createClient(RegistryService, transport);
  const cluster = createClient(ClusterService, transport);
  const hosts = await join(registry, count);
  const memory = [residentMiB(agent.pid)];
  let reportBytes = 0;
  const beat = async (report?: (host: Host, i: number) => Report) => {
    const before = processorMs(agent.pid);
    await each(hosts, async (host, i) => {
      const bytes = report ? encodeReport(report(host, i)) : new Uint8Array(0);
      reportBytes = Math.max(reportBytes, bytes.length);
      await registry.heartbeat({
        ...{ node: host.node, instanceId: host.node, report: bytes },
      });
    });
    return (processorMs(agent.pid) - before) / hosts.length;
  };
  const healthyMs = await beat((host) => reportOf(host, 0));
  memory.push(residentMiB(agent.pid));
  const silentMs = await beat();
  await pause(1_100);
  const busyMs = await beat((host, i) => reportOf(host, i % 4));
  memory.push(residentMiB(agent.pid));
  const beforeMs = processorMs(agent.pid);
  await each(hosts.slice(0, 1_024), () => cluster.getReport({}));
  const ownMs = (processorMs(agent.pid) - beforeMs) /
    Math.min(1_024, hosts.length);
  const { addresses: [held] } = (await createClient(IpamService, transport)
    .allocate({ owner: owner("web-1") })).allocation!;
  const cli = async (...words: readonly string[]) => {
    const before = processorMs(agent.pid);
    const startedMs = performance.now();
    const { stdout, stderr } = await run(Deno.execPath(), [
      ...["run", "-A", `${ROOT}/main.ts`, ...words],
    ]);
    const ms = performance.now() - startedMs;
    if (stdout === "") throw new Error(`Cannot measure: ${stderr}`);
    return { ms, agentMs: processorMs(agent.pid) - before, stdout };
  };
  await cli("version");
  const { ms: emptyMs } = await cli("version");
  const here = ["--url", agent.url];
  const screens = [];
  for (
    const words of [
      ["cluster"],
      ["cluster", "--json"],
      ["node", "list"],
      [
        "find",
        held!.address,
      ],
      ["find", "web-1"],
      ["find", "h10"],
      ["events"],
    ]
  ) screens.push([words.join(" "), await cli(...words, ...here)] as const);
  const watched = await snapshot(cluster);
  memory.push(residentMiB(agent.pid));
  const per = (ms: number) => `${(ms * 1_000).toFixed(0)} µs`;
  const load = (ms: number) =>
    `${(ms * hosts.length / HEARTBEAT_SECONDS / 10).toFixed(1)} %`;
  return [{
    title: `view: ${hosts.length} hosts report`,
    columns: [
      "a heartbeat",
      "processor time of the registry",
      "of a core, every 5 s",
    ],
    rows: [
      ["without a report", per(silentMs), load(silentMs)],
      [`with a first report`, per(healthyMs), load(healthyMs)],
      ["with a changed one, 1 to 3 problems", per(busyMs), load(busyMs)],
    ],
    notes: [
      `The largest report has ${reportBytes} bytes.`,
      `To make its own report, and to answer a call for it, takes a host ${
        per(ownMs)
      } of processor time.`,
    ],
  }, {
    title: `view: ${hosts.length} hosts on a screen`,
    columns: ["command", "whole process", "processor time of the registry"],
    rows: screens.map(([what, { ms, agentMs }]) => [
      what.replace(held!.address, "ADDRESS"),
      `${ms.toFixed(0)} ms`,
      `${agentMs.toFixed(0)} ms`,
    ]),
    notes: [
      `The command line alone takes ${emptyMs.toFixed(0)} ms from source.`,
      `A watch has its snapshot after ${watched.ms.toFixed(0)} ms, ${
        (watched.bytes / 1e6).toFixed(1)
      } MB.`,
      `Resident memory, all joined, all reported, with problems, at the end: ${
        memory.map((mib) => mib.toFixed(0)).join(", ")
      } MiB.`,
    ],
  }];
}

/** Has hosts join, some at once. */
async function join(
  registry: Client<typeof RegistryService>,
  count: number,
): Promise<Host[]> {
  const hosts: Host[] = [];
  await each(Array.from({ length: count }, (_, i) => i), async (i) => {
    const node = `h${i}`;
    const { subnets: [subnet] } = await registry.join({
      ...{ node, instanceId: node },
      advertised: [`198.18.${i >> 8}.${i & 255}`],
    });
    hosts.push({ node, subnet: subnet! });
  });
  return hosts;
}

/** The report of a host with some problems. */
function reportOf({ subnet }: Host, problems: number): Report {
  return {
    version: "0.1.0",
    startedAtMs: 1_800_000_000_000,
    bootId: "3b1f7c52-6d0e-4b8a-9d55-0c6f0b0f3a11",
    subnets: [{
      ...{ cidr: subnet, capacity: 2045, held: 700, cooling: 12 },
      ...{ perDay: 3.5, fullAtMs: 1_830_000_000_000 },
    }],
    ...{ leaked: 0, queued: 0 },
    routes: { wanted: 4095, installed: 4094, conflicts: 1, unresolved: 0 },
    problems: Array.from({ length: problems }, (_, i) => ({
      code: `problem-${i}`,
      severity: i === 0 ? "error" : "warning",
      text:
        `the route to ${subnet} via 198.18.0.${i} is not installed: another program has one to the same destination`,
      fix: `ip route del ${subnet}`,
    })),
    probes: {
      ...{ alive: 4_080, lossy: 4, narrow: 3 },
      ...{ dead: problems, unanswered: 5, unmeasured: 3 },
    },
  };
}

function owner(containerId: string) {
  return { network: "default", containerId, interfaceName: "eth0" };
}

/** The time until a watcher has everything, and the size of that. */
async function snapshot(cluster: Client<typeof ClusterService>) {
  const stop = new AbortController();
  const startedMs = performance.now();
  let bytes = 0;
  try {
    for await (const message of cluster.watch({}, { signal: stop.signal })) {
      bytes += toBinary(ClusterServiceWatchResponseSchema, message).length;
      if (!message.more) break;
    }
  } finally {
    stop.abort();
  }
  return { ms: performance.now() - startedMs, bytes };
}

/** Does something for each item, some at once. */
async function each<T>(
  items: readonly T[],
  run: (item: T, i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const work = async () => {
    for (let i = next++; i < items.length; i = next++) await run(items[i]!, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
