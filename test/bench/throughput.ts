import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import type { Station } from "../lab/station.ts";
import { waitFor } from "../support/wait_for.ts";
import { IperfServer, measureTcp, type TcpResult } from "./iperf.ts";
import { percentile } from "./percentile.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";
import { addVxlan } from "./vxlan.ts";

/** Of a round and path: seconds of TCP, and pings. */
const FULL = { rounds: 5, seconds: 2, pings: 500 };
const QUICK = { rounds: 1, seconds: 1, pings: 20 };

/** From where to where, and by which way. */
interface Path {
  readonly name: string;
  readonly from: Station;
  readonly to: Station;
  /** Of the far end, as the near end reaches it. */
  readonly address: string;
}

/** What one round found of a path. */
interface Round extends TcpResult {
  /** Median round trip of a ping, in µs. */
  readonly pingUs: number;
}

/**
 * TCP and pings between containers on two hosts, beside those between the hosts
 * themselves and between containers over a VXLAN of the same hosts, in turn.
 */
export async function benchThroughput(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const size = quick ? QUICK : FULL;
  await using lab = await Lab.create({ hosts: 2 });
  const [near, far] = lab.hosts as [LabHost, LabHost];
  const from = await near.addContainer("c1");
  const to = await far.addContainer("c1");
  await waitFor("a route between containers", () => from.ping(to.address));
  const overlay = await addVxlan(lab.id, near, far);
  const paths: Path[] = [
    { name: "host to host", from: near, to: far, address: far.address },
    { name: "container to container", from, to, address: to.address },
    { name: "over a VXLAN", ...overlay },
  ];
  const found = new Map<Path, Round[]>(paths.map((path) => [path, []]));
  await using servers = new AsyncDisposableStack();
  for (const { to } of paths) servers.use(await IperfServer.start(to));
  for (let round = 0; round < size.rounds; round++) {
    for (const path of paths) {
      found.get(path)!.push(await measure(path, size));
    }
  }
  return [report(found, size)];
}

async function measure(
  { from, address }: Path,
  { seconds, pings }: typeof FULL,
): Promise<Round> {
  const tcp = await measureTcp(from, address, seconds);
  return { ...tcp, pingUs: await measurePing(from, address, pings) };
}

/** Pings one after the other, and returns the median round trip in µs. */
async function measurePing(
  from: Station,
  address: string,
  count: number,
): Promise<number> {
  const args = ["-n", "-i", "0.002", "-c", String(count), address];
  const text = await from.must("ping", args, { env: { LC_ALL: "C" } });
  const times = text.matchAll(/ time=([\d.]+) ms/g);
  return percentile([...times].map(([, ms]) => Number(ms) * 1000), 0.5);
}

function report(
  found: ReadonlyMap<Path, readonly Round[]>,
  { rounds, seconds, pings }: typeof FULL,
): BenchReport {
  const [hosts] = found.values() as Iterable<readonly Round[]>;
  const median =
    (of: (round: Round, index: number) => number) =>
    (measured: readonly Round[]) => percentile(measured.map(of), 0.5);
  // Rounds that are next to each other meet the same load.
  const besideHosts = (value: (round: Round) => number) =>
    median((round, i) => value(round) / value(hosts![i]!));
  const rows = [...found].map(([{ name }, measured]) => [
    name,
    formatNumber(median((r) => r.gbitPerSecond)(measured)),
    formatRatio(besideHosts((r) => r.gbitPerSecond)(measured)),
    formatNumber(median((r) => r.cpuNsPerKiB)(measured)),
    formatNumber(median((r) => r.pingUs)(measured)),
    formatRatio(besideHosts((r) => r.pingUs)(measured)),
  ]);
  return {
    title:
      `throughput: TCP for ${seconds} s and ${pings} pings, ${rounds} rounds of each path in turn`,
    columns: [
      ...["", "Gbit/s", "beside hosts", "cpu ns/KiB"],
      ...["ping us", "beside hosts"],
    ],
    rows,
    notes: [
      "Medians, also of the ratios of each round. Two hosts of the lab: namespaces of one machine on a bridge.",
      "cpu: processor time of both ends of iperf3, which share the cores with the path between.",
      "Budget: containers as fast as hosts, 1.00x.",
    ],
  };
}
