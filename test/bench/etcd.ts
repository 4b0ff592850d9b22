import { type Client, createClient } from "@connectrpc/connect";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { startEtcd } from "../support/etcd.ts";
import type { SpawnedAgent } from "../support/spawn_agent.ts";
import { startRegistry } from "./agent.ts";
import { measureCluster } from "./cluster.ts";
import { Nodes } from "./cluster_nodes.ts";
import { percentile } from "./percentile.ts";
import { processorMs } from "./proc_stat.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

const FULL = { joins: 960, atOnce: 48, changes: 960, alone: 100 };
const QUICK = { joins: 24, atOnce: 6, changes: 24, alone: 6 };

/** A way to keep the registry. */
interface Kept {
  readonly name: string;
  /** Members of etcd; 0: Deno KV. */
  readonly members: number;
  /** Agents that host the registry together. */
  readonly agents: number;
}

const WAYS: readonly Kept[] = [
  { name: "Deno KV", members: 0, agents: 1 },
  { name: "etcd, one member", members: 1, agents: 1 },
  { name: "etcd, three members", members: 3, agents: 1 },
  { name: "etcd, three members, three agents", members: 3, agents: 3 },
];

/** What was measured of one. Rates are a second, latencies in ms. */
interface Measured {
  readonly name: string;
  readonly joins: number;
  readonly joinMs: number;
  /** Processor time of the agents for one join, in µs. */
  readonly agentUs: number;
  readonly changes: number;
  readonly aloneMs: number;
}

/**
 * Joins and changes of routes a second with the registry in Deno KV and in
 * etcd, and thousands of nodes on etcd.
 */
export async function benchEtcd(
  options: BenchOptions,
): Promise<readonly BenchReport[]> {
  const size = options.quick ? QUICK : FULL;
  const found: Measured[] = [];
  for (const way of WAYS) found.push(await measure(way, size));
  await using etcd = await startEtcd({ members: 3 });
  return [
    report(found, size),
    ...await measureCluster(options, {
      what: "cluster on etcd",
      store: `etcd://${etcd.endpoints}/bench`,
    }),
  ];
}

async function measure(
  { name, members, agents }: Kept,
  size: typeof FULL,
): Promise<Measured> {
  await using stack = new AsyncDisposableStack();
  const etcd = members === 0
    ? undefined
    : stack.use(await startEtcd({ members }));
  const store = etcd && `etcd://${etcd.endpoints}/bench`;
  const hosts: SpawnedAgent[] = [];
  for (let i = 0; i < agents; i++) {
    hosts.push(stack.use(await startRegistry(store, `registry${i}`)));
  }
  const share = (count: number) => count / agents;
  const nodes = hosts.map((_, i) =>
    stack.use(
      new Nodes({
        ...{ nodes: share(size.joins), processes: 1 },
        ...{ atOnce: share(size.atOnce), first: i * share(size.joins) },
      }),
    )
  );
  const busyMs = () =>
    hosts.reduce((sum, { pid }) => sum + processorMs(pid), 0);
  const beforeMs = busyMs();
  const startedAt = performance.now();
  const joined = await Promise.all(
    nodes.map((each, i) => each.join(hosts[i]!.port)),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const agentUs = (busyMs() - beforeMs) * 1000 / size.joins;
  const subnets = new Set(joined.flatMap((each) => each.subnets));
  if (subnets.size !== size.joins) {
    throw new Error(
      `Cannot go on: ${size.joins} nodes have ${subnets.size} subnets`,
    );
  }
  const registries = hosts.map(({ url }) =>
    createClient(RegistryService, createRpcTransport({ url }))
  );
  await changeRoutes(registries, { count: size.atOnce, atOnce: size.atOnce });
  const together = await changeRoutes(registries, {
    count: size.changes,
    atOnce: size.atOnce,
  });
  const alone = await changeRoutes(registries, {
    count: size.alone,
    atOnce: 1,
  });
  return {
    name,
    joins: size.joins / seconds,
    joinMs: percentile(joined.flatMap((each) => each.latenciesMs), 0.5),
    agentUs,
    changes: size.changes / together.seconds,
    aloneMs: percentile(alone.latenciesMs, 0.5),
  };
}

/** Adds and deletes routes, through one agent after the other. */
async function changeRoutes(
  registries: readonly Client<typeof RegistryService>[],
  { count, atOnce }: { readonly count: number; readonly atOnce: number },
): Promise<{ readonly seconds: number; readonly latenciesMs: number[] }> {
  const latenciesMs: number[] = [];
  let left = count;
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: atOnce }, async (_, i) => {
    const registry = registries[i % registries.length]!;
    const cidr = `203.0.113.${i}/32`;
    for (let turn = 0; left-- > 0; turn++) {
      const calledAt = performance.now();
      await (turn % 2 === 0
        ? registry.addRoute({ cidr, target: "198.19.255.1" })
        : registry.deleteRoute({ cidr }));
      latenciesMs.push(performance.now() - calledAt);
    }
    await registry.deleteRoute({ cidr });
  }));
  return { seconds: (performance.now() - startedAt) / 1000, latenciesMs };
}

function report(
  found: readonly Measured[],
  { atOnce }: typeof FULL,
): BenchReport {
  const [kv] = found as readonly [Measured];
  return {
    title: `etcd: joins and changes of routes, ${atOnce} at once`,
    columns: [
      ...["", "joins/s", "median ms", "agent us", "beside Deno KV"],
      ...["routes/s", "beside Deno KV", "one at a time, ms"],
    ],
    rows: found.map((m) => [
      m.name,
      m.joins.toFixed(0),
      formatNumber(m.joinMs),
      m.agentUs.toFixed(0),
      formatRatio(m.joins / kv.joins),
      m.changes.toFixed(0),
      formatRatio(m.changes / kv.changes),
      formatNumber(m.aloneMs),
    ]),
    notes: [
      "All of it on one machine: the members of etcd have their share of its processors, and one disk.",
      "agent us: processor time of the agents for one join.",
    ],
  };
}
