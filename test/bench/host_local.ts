import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { startAgent } from "./agent.ts";
import { startLoadClients } from "./load.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** The IPAM plugin that CNI's own plugins come with: Debian's containernetworking-plugins. */
const HOST_LOCAL = "/usr/lib/cni/host-local";
const NETWORK = "bench";

/** What one row of the table says. */
interface Cost {
  readonly name: string;
  readonly allocateMs: number;
  readonly releaseMs: number;
}

/** Measures host-local, a process a request, and the agent doing the same. */
export async function benchHostLocal(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const count = quick ? 5 : 200;
  // It reads a file for every address that is held, a quarter of a second long.
  const [held, heldCount] = quick ? [500, 5] : [60_000, 20];
  const agent = await measureAgent(count);
  const costs = [
    agent,
    await withTempDir((dir) =>
      measureHostLocal("host-local, nothing held", { dir, count })
    ),
    await withTempDir(async (dir) => {
      await hold(dir, held);
      return await measureHostLocal(`host-local, ${held} held`, {
        dir,
        count: heldCount,
      });
    }),
    await measureProcess(count),
  ];
  return [{
    title: "host-local: one request at a time",
    columns: [
      "",
      "allocate ms",
      "of the agent's",
      "release ms",
      "of the agent's",
    ],
    rows: costs.map(({ name, allocateMs, releaseMs }) => [
      name,
      formatNumber(allocateMs),
      formatRatio(allocateMs / agent.allocateMs),
      formatNumber(releaseMs),
      formatRatio(releaseMs / agent.releaseMs),
    ]),
    notes: [
      "Medians. host-local is a process a request, which the last row is the cost of;",
      "the agent is asked over gRPC, and keeps its state synced to the disk.",
    ],
  }];
}

async function measureAgent(count: number): Promise<Cost> {
  await using agent = await startAgent(16);
  await using clients = startLoadClients({
    kind: "grpc-js",
    port: agent.port,
    pid: agent.pid,
  });
  const phase = { first: 0, count, atOnce: 1 };
  const warmUp = { ...phase, count: 5 * count };
  await clients.run({ ...warmUp, method: "AllocateIP" });
  await clients.run({ ...warmUp, method: "ReleaseIP" });
  const allocate = await clients.run({ ...phase, method: "AllocateIP" });
  const release = await clients.run({ ...phase, method: "ReleaseIP" });
  return {
    name: "agent over gRPC",
    allocateMs: allocate.medianMs,
    releaseMs: release.medianMs,
  };
}

async function measureHostLocal(
  name: string,
  { dir, count }: { readonly dir: string; readonly count: number },
): Promise<Cost> {
  const stdin = JSON.stringify({
    cniVersion: "1.0.0",
    name: NETWORK,
    type: "bridge",
    ipam: {
      type: "host-local",
      dataDir: dir,
      ranges: [[{ subnet: "10.0.0.0/16" }]],
    },
  });
  async function call(command: string, i: number): Promise<void> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `container-${i}`,
      CNI_NETNS: "/proc/self/ns/net",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/usr/lib/cni",
    };
    const { code, stdout } = await run(HOST_LOCAL, [], { env, stdin });
    if (code !== 0) throw new Error(`Cannot run host-local: ${stdout}`);
  }
  return {
    name,
    allocateMs: await medianMs(count, (i) => call("ADD", i)),
    releaseMs: await medianMs(count, (i) => call("DEL", i)),
  };
}

/** Keeps addresses as host-local does: a file for each, with its holder. */
async function hold(dir: string, count: number): Promise<void> {
  const folder = join(dir, NETWORK);
  await Deno.mkdir(folder);
  let last = "";
  for (let offset = 2; offset < count + 2; offset++) {
    last = `10.0.${offset >> 8}.${offset & 255}`;
    Deno.writeTextFileSync(join(folder, last), `held-${offset}\r\neth0`);
  }
  await Deno.writeTextFile(join(folder, "last_reserved_ip.0"), last);
}

async function measureProcess(count: number): Promise<Cost> {
  const ms = await medianMs(count, async () => void await run("true", []));
  return { name: "a process that does nothing", allocateMs: ms, releaseMs: ms };
}

async function medianMs(
  count: number,
  call: (i: number) => Promise<void>,
): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startedAt = performance.now();
    await call(i);
    times.push(performance.now() - startedAt);
  }
  return times.sort((a, b) => a - b)[Math.floor(count / 2)]!;
}
