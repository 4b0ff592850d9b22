import { type Client, createClient } from "@connectrpc/connect";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";
import { percentile } from "./percentile.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";
import { RouteMonitor } from "./route_monitor.ts";

/** How long it may take at eight hosts, in ms. */
const BUDGET_MS = 250;

/** Hosts of the cluster, the one that joins included; joins of each. */
const FULL = { sizes: [2, 4, 8], rounds: 20 };
const QUICK = { sizes: [2], rounds: 2 };

/** On the hosts' link, and of no host: what joins is known by its address alone. */
const NEXT_HOP = "198.18.0.250";
/** For routes that are not an agent's: out of a block set aside for benchmarks (RFC 2544). */
const BARE_DESTINATION = "198.19.64.0/22";

/** What was measured with some peers, in ms. */
interface Measured {
  readonly hosts: number;
  /** From before the call until it is answered. */
  readonly answered: number[];
  /** From before the call until the route is in every peer's kernel. */
  readonly joined: number[];
  /** From before `ip` starts for each peer until the route is in every one's kernel. */
  readonly bare: number[];
}

/**
 * The time from a node's join to the route in every peer's kernel, as
 * `ip monitor` tells it there. Beside `ip route add` in each.
 */
export async function benchJoin(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const { sizes, rounds } = quick ? QUICK : FULL;
  await using lab = await Lab.create({
    hosts: Math.max(...sizes) - 1,
    startAgents: false,
  });
  await using monitors = new AsyncDisposableStack();
  const peers: Peer[] = [];
  const found: Measured[] = [];
  for (const hosts of sizes) {
    const more = lab.hosts.slice(peers.length, hosts - 1);
    // The first keeps the registry.
    for (const host of more) await host.agent.start();
    for (const host of more) {
      const monitor = monitors.use(await RouteMonitor.start(host));
      peers.push({ host, monitor });
    }
    await allDone(peers.map(({ host }) => settled(host, peers.length)));
    const measured = { hosts, answered: [], joined: [], bare: [] };
    const registry = createClient(
      RegistryService,
      createRpcTransport({ socketPath: lab.host(1).agent.socketPath }),
    );
    for (let round = 0; round < rounds; round++) {
      await measureJoin(registry, peers, {
        node: `guest-${hosts}-${round}`,
        measured,
      });
      await measureBare(peers, measured);
    }
    found.push(measured);
  }
  return [report(found, rounds)];
}

/** A host whose kernel has to hear of a join. */
interface Peer {
  readonly host: LabHost;
  readonly monitor: RouteMonitor;
}

/** Waits until a host has a route to each of the other hosts' subnets. */
async function settled(host: LabHost, hosts: number): Promise<void> {
  await waitFor(`routes to all other hosts on ${host.name}`, async () => {
    const routes = await host.ip("-json route show proto 83");
    const all: readonly { readonly type?: string }[] = JSON.parse(
      routes || "[]",
    );
    // Besides them there are unreachable routes, for addresses that nobody has.
    return all.filter(({ type }) => type !== "unreachable").length ===
      hosts - 1;
  });
}

async function measureJoin(
  registry: Client<typeof RegistryService>,
  peers: readonly Peer[],
  { node, measured }: { readonly node: string; readonly measured: Measured },
): Promise<void> {
  const startedAt = performance.now();
  const { subnets: [subnet] } = await registry.join({
    node,
    instanceId: node,
    advertised: [NEXT_HOP],
  });
  measured.answered.push(performance.now() - startedAt);
  const seen = await seenByAll(peers, "added", subnet!);
  measured.joined.push(seen - startedAt);
  await registry.removeNode({ node, force: true });
  await seenByAll(peers, "deleted", subnet!);
}

async function measureBare(
  peers: readonly Peer[],
  { bare }: Measured,
): Promise<void> {
  const change = (verb: "add" | "delete") =>
    allDone(
      peers.map(({ host }) =>
        host.ip(`route ${verb} ${BARE_DESTINATION} via ${NEXT_HOP}`)
      ),
    );
  const startedAt = performance.now();
  const added = change("add");
  bare.push(await seenByAll(peers, "added", BARE_DESTINATION) - startedAt);
  await added;
  await change("delete");
  await seenByAll(peers, "deleted", BARE_DESTINATION);
}

/** Waits until all kernels have told of a change, and returns when the last has. */
async function seenByAll(
  peers: readonly Peer[],
  change: "added" | "deleted",
  destination: string,
): Promise<number> {
  const times = peers.map(({ monitor }) => monitor.seen(change, destination));
  return Math.max(...await Promise.all(times));
}

function report(found: readonly Measured[], rounds: number): BenchReport {
  return {
    title:
      `join: from a node's join to the route in every peer's kernel, ${rounds} of each in turn`,
    columns: [
      ...["hosts", "answered ms", "median ms", "p95 ms"],
      ...["ip route add ms", "p95 ms", "beside ip", "of budget"],
    ],
    rows: found.map(({ hosts, answered, joined, bare }) => [
      String(hosts),
      formatNumber(percentile(answered, 0.5)),
      formatNumber(percentile(joined, 0.5)),
      formatNumber(percentile(joined, 0.95)),
      formatNumber(percentile(bare, 0.5)),
      formatNumber(percentile(bare, 0.95)),
      formatRatio(percentile(joined, 0.5) / percentile(bare, 0.5)),
      formatRatio(percentile(joined, 0.5) / BUDGET_MS),
    ]),
    notes: [
      "From before the call. answered: until the node that joins may use its subnet.",
      `Budget: a median of ${BUDGET_MS} ms at 8 hosts. The registry holds changes for 30 ms, to send them together.`,
    ],
  };
}
