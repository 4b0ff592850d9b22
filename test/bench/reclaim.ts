import { run } from "../support/run.ts";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { Lab } from "../lab/lab.ts";
import { LabClock } from "../lab/lab_clock.ts";
import type { LabHost } from "../lab/lab_host.ts";
import {
  type DrillFault,
  type DrillReport,
  MEMBER_FAULT_MS,
  ReclaimDrill,
} from "../lab/reclaim_drill.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

const DEFAULT_MINUTES = 10;
const QUICK_MINUTES = 1 / 4;
const FLAGS = ["--reclaim-after", "1m"];
/** The disk of a registry in a file, in MiB. */
const DISK_MIB = 24;
const QUOTA_BYTES = 16 * 1024 * 1024;

/**
 * Lets random faults befall clusters that remove silent nodes: on Deno KV and
 * on etcd. The process ends with 1 when a living node is removed, or a dead
 * one is not.
 */
export async function benchReclaim(
  { quick, minutes = quick ? QUICK_MINUTES : DEFAULT_MINUTES, seed }:
    BenchOptions,
): Promise<readonly BenchReport[]> {
  const options = {
    durationMs: minutes * 60_000,
    seed: seed ?? Date.now() % 1_000_000,
  };
  console.log(`reclaim: seed ${options.seed}`);
  const reports = [
    ["Deno KV", await drillDenoKv(options)],
    ["etcd", await drillEtcd(options)],
  ] as const;
  return reports.map(([store, report]) => {
    const { mistakes, overdue } = report;
    if (mistakes.length + overdue.length > 0) Deno.exitCode = 1;
    if (report.removed < report.dead) Deno.exitCode = 1;
    return {
      title: `reclaim: ${store}, ${minutes.toFixed(1)} min`,
      columns: ["", "number", "allowed"],
      rows: [
        ["living nodes removed", `${mistakes.length}`, "0"],
        ["dead nodes", `${report.dead}`, ""],
        ["dead nodes removed", `${report.removed}`, `${report.dead}`],
        ["dead nodes overdue", `${overdue.length}`, "0"],
        ["slowest removal, s", report.slowestS.toFixed(0), "120"],
        ...[...report.faults].sort().map(([name, count]) => [
          ...[name, `${count}`, ""],
        ]),
        ["seed", `${options.seed}`, ""],
      ],
      notes: [...mistakes, ...overdue],
    };
  });
}

type Drill = { readonly durationMs: number; readonly seed: number };

async function drillDenoKv(options: Drill): Promise<DrillReport> {
  await using lab = await Lab.create({ hosts: 5, startAgents: false });
  const [registry] = lab.hosts as [LabHost];
  const { agent } = registry;
  await using disk = await SmallDisk.mount(agent.stateDir);
  agent.flags = [...agent.flags, ...FLAGS];
  const clocks = await giveClocks(lab.hosts);
  for (const host of lab.hosts) await host.agent.start();
  for (const host of lab.hosts) await host.joined();
  const full: DrillFault = {
    name: "the registry's disk is full",
    cause: async () => {
      await disk.fill();
      return () => disk.empty();
    },
  };
  return await new ReclaimDrill({
    ...{ lab, hosts: lab.hosts, registries: [registry], clocks },
    ...{ registryFaults: [full], ...options },
  }).run();
}

async function drillEtcd(options: Drill): Promise<DrillReport> {
  await using cluster = await EtcdRegistryLab.create({
    ...{ registries: 2, joiners: 3, registryArgs: FLAGS },
    etcdArgs: ["--quota-backend-bytes", String(QUOTA_BYTES)],
  });
  const { lab, etcd, hosts, registries } = cluster;
  const clocks = await giveClocks(hosts);
  // Clocks are read at the start.
  for (const host of hosts) await host.agent.restart();
  for (const host of hosts) await host.joined();
  const [first] = etcd.members;
  const faults: readonly DrillFault[] = [
    {
      name: "etcd loses its quorum",
      cause: async () => {
        const lost = etcd.members.slice(0, 2);
        for (const member of lost) await member.kill();
        return async () => {
          for (const member of lost) member.start();
          await etcd.ready();
        };
      },
    },
    {
      name: "a host of the registry is cut off from etcd",
      longestMs: MEMBER_FAULT_MS,
      cause: async (pick) => {
        const host = pick(registries);
        for (const member of etcd.members) {
          await lab.partition(host, member.host);
        }
        return () => lab.heal();
      },
    },
    {
      name: "etcd is out of space",
      cause: async () => {
        const value = "x".repeat(1024 * 1024);
        for (let i = 0; i < 100; i++) {
          if ((await first!.run(["put", `fill/${i}`], value)).code !== 0) break;
        }
        return async () => {
          await first!.ctl(["del", "fill/", "--prefix"]);
          await first!.compact(await first!.revision());
          for (const each of etcd.members) await each.ctl(["defrag"]);
          await first!.ctl(["alarm", "disarm"]);
        };
      },
    },
  ];
  return await new ReclaimDrill({
    ...{ lab, hosts, registries, clocks, registryFaults: faults },
    ...options,
  }).run();
}

async function giveClocks(
  hosts: readonly LabHost[],
): Promise<ReadonlyMap<LabHost, LabClock>> {
  const clocks = new Map<LabHost, LabClock>();
  for (const host of hosts) clocks.set(host, await LabClock.giveTo(host));
  return clocks;
}

/** A small file system in memory at a folder. Disposing of it unmounts it. */
class SmallDisk implements AsyncDisposable {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  static async mount(path: string): Promise<SmallDisk> {
    await Deno.mkdir(path, { mode: 0o700 });
    await must("mount", [
      ...["-t", "tmpfs", "-o", `size=${DISK_MIB}m,mode=700`, "none", path],
    ]);
    return new SmallDisk(path);
  }

  /** Leaves no space. */
  async fill(): Promise<void> {
    await run("dd", ["if=/dev/zero", `of=${this.#filler}`, "bs=4k"]);
  }

  async empty(): Promise<void> {
    await Deno.remove(this.#filler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await must("umount", ["--lazy", this.#path]);
  }

  get #filler(): string {
    return `${this.#path}/filler`;
  }
}

async function must(command: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`Cannot run ${command}: ${stderr}`);
}
