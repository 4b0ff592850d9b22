import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { Buffer } from "node:buffer";
import {
  NodeState,
  RegistryService,
  WatchResponseSchema,
} from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { DEFAULT_LIMITS } from "../../src/api/limits/limits.ts";
import { startRegistry } from "./agent.ts";
import type { BareQuestion } from "./bare_streams.ts";
import { now } from "./cluster_client.ts";
import { Nodes } from "./cluster_nodes.ts";
import { type ClusterFigures, clusterReports } from "./cluster_report.ts";
import { LineProcess } from "./line_process.ts";
import { processorMs, residentMiB } from "./proc_stat.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

const FULL = { nodes: 4096, processes: 4, atOnce: 256, rounds: 5 };
const QUICK = { nodes: 64, processes: 2, atOnce: 16, rounds: 1 };

/** How many watches share a connection: as many as an agent allows. */
const PER_CONNECTION = DEFAULT_LIMITS.maxStreams;

/** Makes a change at the registry, and returns what its watchers are told. */
type MakeChange = (
  round: number,
) => Promise<MessageInitShape<typeof WatchResponseSchema>>;

/** A server with watchers. */
interface Watched {
  readonly port: number;
  readonly pid: number;
}

/**
 * One registry and thousands of nodes, in processes of their own: how fast
 * they join, and how soon all of them hear of a change. Beside a server that
 * pushes the same bytes to as many streams and does nothing else.
 */
export function benchCluster(
  options: BenchOptions,
): Promise<readonly BenchReport[]> {
  return measureCluster(options, { what: "cluster" });
}

/** Measures that with the registry in a store. Default: in Deno KV. `what` begins the titles. */
export async function measureCluster(
  { quick }: BenchOptions,
  { what, store }: { readonly what: string; readonly store?: string },
): Promise<readonly BenchReport[]> {
  const size = quick ? QUICK : FULL;
  await using agent = await startRegistry(store);
  await using bare = new LineProcess("bare_streams.ts");
  // The last that comes is the first that goes: a watch that ends is a fault.
  await using nodes = new Nodes(size);
  const registry = createClient(
    RegistryService,
    createRpcTransport({ url: agent.url }),
  );
  const memory: [string, number][] = [];
  const weigh = (when: string) =>
    void memory.push([when, residentMiB(agent.pid)]);

  weigh("idle");
  const beforeMs = processorMs(agent.pid);
  const joined = await nodes.join(agent.port);
  const agentMs = processorMs(agent.pid) - beforeMs;
  weigh("all have joined");

  const { snapshot } = await nodes.look(agent.port);
  const watched = {
    agent,
    bare: { pid: bare.pid, port: await listen(bare, snapshot) },
  };
  const open = async ({ port, pid }: Watched) => {
    const before = processorMs(pid);
    const watching = await nodes.watch(port, PER_CONNECTION);
    return { ...watching, processorMs: processorMs(pid) - before };
  };
  const opened = {
    bare: await open(watched.bare),
    agent: await open(watched.agent),
  };
  weigh("all watch");
  const bareMiB = residentMiB(bare.pid);

  const change = (name: string, make: MakeChange) =>
    measureChanges(name, { ...size, make, nodes, bare, watched });
  const changes = [
    await change("a route", async (round) => {
      const cidr = `203.0.113.${round}/32`;
      const answer = await registry.addRoute({ cidr, target: "198.19.255.1" });
      return { routes: [answer.route!] };
    }),
    await change("a node", async (round) => {
      const name = `late${round}`;
      const advertised = [`198.19.254.${round}`];
      const { subnets } = await registry.join({
        node: name,
        instanceId: name,
        advertised,
      });
      const state = NodeState.READY;
      return { nodes: [{ name, subnets, advertised, state }] };
    }),
  ];
  const looks: ClusterFigures["looks"] = { agent: [], bare: [] };
  for (let round = 0; round < size.rounds; round++) {
    looks.agent.push((await nodes.look(watched.agent.port)).ms);
    looks.bare.push((await nodes.look(watched.bare.port)).ms);
  }
  weigh("and many changes later");
  const agentUs = agentMs * 1000 / size.nodes;
  return clusterReports({
    ...{ what, size, joined, agentUs, opened, changes, looks, memory, bareMiB },
    snapshotBytes: Buffer.from(snapshot, "base64").length,
  });
}

/** Has the bare server listen with what its watchers get first. Returns its port. */
async function listen(bare: LineProcess, first: string): Promise<number> {
  const maxStreams = PER_CONNECTION;
  return await bare.ask<number>(
    { kind: "listen", first, maxStreams } satisfies BareQuestion,
  );
}

/** Makes changes, one after the other: at the registry, and the same bytes at the bare server. */
async function measureChanges(
  name: string,
  { rounds, make, nodes, bare, watched }: {
    readonly rounds: number;
    readonly make: MakeChange;
    readonly nodes: Nodes;
    readonly bare: LineProcess;
    readonly watched: { readonly agent: Watched; readonly bare: Watched };
  },
): Promise<ClusterFigures["changes"][number]> {
  const delays: { agent: number[][]; bare: number[][] } = {
    agent: [],
    bare: [],
  };
  const agentMs = processorMs(watched.agent.pid);
  for (let round = 1; round <= rounds; round++) {
    const startedAt = now();
    const message = create(WatchResponseSchema, await make(round));
    const key = message.nodes[0]?.name ?? message.routes[0]!.cidr;
    const heard = await nodes.heard(watched.agent.port, key);
    delays.agent.push(heard.map((at) => at - startedAt));

    const bytes = toBinary(WatchResponseSchema, message);
    const pushedAt = now();
    await bare.ask(
      {
        kind: "push",
        message: Buffer.from(bytes).toString("base64"),
      } satisfies BareQuestion,
    );
    const got = await nodes.heard(watched.bare.port, key);
    delays.bare.push(got.map((at) => at - pushedAt));
  }
  return {
    name,
    ...delays,
    agentMs: (processorMs(watched.agent.pid) - agentMs) / rounds,
  };
}
