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
import {
  each,
  joinHosts,
  reportOf,
  type SimulatedHost,
} from "./simulated_hosts.ts";

const HEARTBEAT_SECONDS = 5;

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
  const hosts = await joinHosts(registry, count);
  const memory = [residentMiB(agent.pid)];
  let reportBytes = 0;
  const beat = async (report?: (host: SimulatedHost, i: number) => Report) => {
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
