import assert from "node:assert/strict";
import { pathView } from "../probe/path_views.ts";
import { Code } from "@connectrpc/connect";
import type { AgentReading } from "../../src/metrics/agent_gauges.ts";
import { NetError } from "../../src/base/error.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { startAgent } from "../agent/agents.ts";
import { parseExposition, valuesOf } from "../support/exposition.ts";
import { run } from "../support/run.ts";
import { createReport } from "../../src/routes/report.ts";
import { createCarve } from "../../src/net/carve.ts";
import { parsePrefix } from "../../src/net/prefix.ts";

const PROCESS = {
  startedAtMs: 5_000,
  cpuSeconds: 1.5,
  residentBytes: 1024,
  heapBytes: 512,
  openFiles: 20,
  maxFiles: 1000,
};
const ROUTES = createReport({
  mode: "apply",
  readAtMs: 7_000,
  routes: [],
  operations: [],
  repaired: { count: 3, byCause: { "next hop back": 3 }, lastAtMs: 1 },
  error: "no",
});

/** What is read beside the agent's status. */
const READING: Omit<AgentReading, "status"> = {
  followedRevision: 1,
  routes: ROUTES,
  nowMs: 9_500,
  clusterChangedAtMs: 8_000,
  events: { lastAtMs: 7_500, waiting: 2 },
  cluster: {
    hosts: { ready: 2, unreachable: 1, "no agent": 0 },
    withoutReport: 1,
    troubled: { error: 1, warning: 2 },
    problems: { error: 3, warning: 4 },
    worstUse: 0.75,
    firstFullAtMs: 20_000,
    routes: { installed: 5, conflict: 1, unresolved: 0 },
    networks: [{
      carve: createCarve(parsePrefix("172.16.0.0/12"), 22),
      ...{ cidr: "172.16.0.0/12", subnets: 1024, owned: 3, blocked: 64 },
      ...{ capacity: 3063, held: 6, perDay: 1, fullAtMs: 30_000 },
      fastest: undefined,
    }],
  },
  forecasts: new Map([["172.16.0.0/22", {
    ...{ perDay: 2.5, basisMs: 1, fullAtMs: 40_000 },
  }]]),
  lastBackupAtMs: 0,
  registryStore: "kv",
  certificates: [
    { name: "node", notBeforeMs: 1_000, notAfterMs: 2_000 },
    { name: "authority", notBeforeMs: 3_000, notAfterMs: 4_000 },
  ],
  isRenewalFailing: true,
  probes: {
    paths: [
      pathView({ peer: "b", rttMs: 2, loss: { out: 0.25, in: 0 } }),
      pathView({ peer: "c", state: "narrow", narrowBytes: 1400 }),
      // A sample has no series of its own.
      pathView({ peer: "d", state: "dead", isNeighbour: false }),
    ],
    counts: { requests: 7, answers: 6, refused: 5 },
  },
};

/** What an agent without a store would say. */
function readNothing(): Promise<AgentReading> {
  return Promise.reject(new NetError("unavailable", "closed"));
}

async function format(
  metrics: Metrics,
  agent: () => Promise<AgentReading> = readNothing,
): Promise<string> {
  const process = () => Promise.resolve(PROCESS);
  return (await metrics.format({ agent, process })).text;
}

Deno.test("Metrics counts the reports of the agent's parts", async (t) => {
  const metrics = new Metrics({ version: "1" });
  const { agent, calls } = metrics;
  agent.allocated("created", agent.clock());
  agent.allocated("created", agent.clock() - 20);
  agent.allocated("existing", agent.clock());
  agent.allocated("unavailable", agent.clock());
  agent.released("leaked");
  agent.released("node gone");
  const commit = (store: "kv" | "etcd", mutations: number) => ({
    ...{ store, mutations, startedAtMs: agent.clock() },
  });
  agent.committed("committed", commit("kv", 5));
  agent.committed("failed", commit("kv", 7));
  agent.committed("conflict", commit("etcd", 3));
  agent.watchRestarted();
  const before = Date.now() / 1000;
  agent.registryAnswered();
  const { info, getIP } = Network.method;
  calls.ended(info, { code: undefined, startedAtMs: calls.clock() });
  calls.ended(info, { code: undefined, startedAtMs: calls.clock() });
  calls.ended(getIP, { code: Code.NotFound, startedAtMs: calls.clock() });
  const text = await format(metrics);
  const service = Network.typeName;
  const rows: readonly [string, Readonly<Record<string, number>>][] = [
    ["allocations_total", {
      created: 2,
      existing: 1,
      exhausted: 0,
      unavailable: 1,
    }],
    ["allocation_duration_seconds_count", { "": 4 }],
    ["releases_total", {
      requested: 0,
      queued: 0,
      gc: 0,
      undelivered: 0,
      leaked: 1,
      expired: 0,
      node_gone: 1,
    }],
    ["store_commits_total", {
      ...{ "kv committed": 1, "kv conflict": 0, "kv failed": 1 },
      ...{ "etcd committed": 0, "etcd conflict": 1, "etcd failed": 0 },
    }],
    ["store_mutations_total", { kv: 5, etcd: 0 }],
    ["store_commit_duration_seconds_count", { kv: 2, etcd: 1 }],
    ["registry_watch_restarts_total", { "": 1 }],
    ["rpc_calls_total", {
      [`${service} Info OK`]: 2,
      [`${service} GetIP NotFound`]: 1,
    }],
    ["rpc_call_duration_seconds_count", {
      [`${service} Info`]: 2,
      [`${service} GetIP`]: 1,
    }],
    ["build_info", { 1: 1 }],
  ];
  for (const [name, values] of rows) {
    await t.step(name, () => {
      assert.deepEqual(valuesOf(text, `stellar_net_${name}`), values);
    });
  }
  const answered = valuesOf(
    text,
    "stellar_net_registry_last_answer_timestamp_seconds",
  )[""]!;
  assert.ok(answered >= before && answered <= Date.now() / 1000);
  const slow = parseExposition(text).filter(({ name, labels }) =>
    name === "stellar_net_allocation_duration_seconds_bucket" &&
    (labels.le === "0.01" || labels.le === "1")
  );
  assert.deepEqual(slow.map(({ value }) => value), [3, 4]);
});

Deno.test("Metrics shows how the agent and its process are", async (t) => {
  await using started = await startAgent({ coolDownMs: 60_000 });
  const { agent } = started;
  const owner = { network: "n", containerId: "c", interfaceName: "eth0" };
  await agent.addresses.allocate("a", { owner, addresses: [] });
  await agent.addresses.allocate("a", {
    owner: { ...owner, containerId: "d" },
    addresses: [],
  });
  await agent.addresses.release("a", { owner, reason: "test" });
  const metrics = new Metrics({ version: "1" });
  const text = await format(metrics, async () => ({
    status: await agent.status(),
    ...READING,
  }));
  const { cluster, revision } = await agent.status();
  const subnet = "172.16.0.0/12 172.16.0.0/22";
  const rows: readonly [string, Readonly<Record<string, number>>][] = [
    ["stellar_net_node_info", {
      [`a ${agent.instanceId} ${cluster!.clusterId}`]: 1,
    }],
    ["stellar_net_addresses", {
      [`${subnet} held`]: 1,
      [`${subnet} cooling`]: 1,
      [`${subnet} free`]: 1019,
    }],
    ["stellar_net_addresses_capacity", { [subnet]: 1021 }],
    ["stellar_net_routes_wanted", { "": 0 }],
    ["stellar_net_routes", { installed: 0, conflict: 0, unresolved: 0 }],
    ["stellar_net_routes_mode_info", { apply: 1 }],
    ["stellar_net_routes_failing", { "": 1 }],
    ["stellar_net_routes_last_look_timestamp_seconds", { "": 7 }],
    ["stellar_net_route_repairs_total", {
      missing: 0,
      changed: 0,
      surplus: 0,
      next_hop_back: 3,
      conflict_gone: 0,
    }],
    ["stellar_net_registry_link", {
      hosted: 1,
      joined: 0,
      unreachable: 0,
      fenced: 0,
      left: 0,
    }],
    ["stellar_net_registry_reachable", { "": 1 }],
    ["stellar_net_fenced", { "": 0 }],
    ["stellar_net_registry_revision", { "": 1 }],
    ["stellar_net_registry_head_revision", { "": revision }],
    ["stellar_net_registry_store_info", { kv: 1 }],
    ["stellar_net_cluster_nodes", { "": 1 }],
    ["stellar_net_cluster_last_change_timestamp_seconds", { "": 8 }],
    ["stellar_net_last_event_timestamp_seconds", { "": 7.5 }],
    ["stellar_net_events_waiting", { "": 2 }],
    ["stellar_net_clock_timestamp_seconds", { "": 9.5 }],
    ["stellar_net_last_backup_timestamp_seconds", { "": 0 }],
    ["stellar_net_certificate_not_before_timestamp_seconds", {
      node: 1,
      authority: 3,
    }],
    ["stellar_net_certificate_not_after_timestamp_seconds", {
      node: 2,
      authority: 4,
    }],
    ["stellar_net_certificate_renewal_failing", { "": 1 }],
    ["stellar_net_peers", { ready: 0, unreachable: 0, no_agent: 0 }],
    ["stellar_net_probe_paths", {
      ...{ unmeasured: 0, alive: 1, lossy: 0 },
      ...{ narrow: 1, unanswered: 0, dead: 1 },
    }],
    ["stellar_net_probe_round_trip_seconds", { b: 0.002 }],
    ["stellar_net_probe_loss_ratio", {
      ...{ "b out": 0.25, "b in": 0, "c out": 0, "c in": 0 },
    }],
    ["stellar_net_probe_mtu_bytes", { b: 1500, c: 1400 }],
    ["stellar_net_probe_packets_total", {
      ...{ requests: 7, answers: 6, refused: 5 },
    }],
    ["stellar_net_release_queue_length", { "": 0 }],
    ["stellar_net_leak_candidates", { "": 0 }],
    ["stellar_net_store_readable", { "": 1 }],
    ["process_start_time_seconds", { "": 5 }],
    ["process_cpu_seconds_total", { "": 1.5 }],
    ["process_resident_memory_bytes", { "": 1024 }],
    ["process_heap_bytes", { "": 512 }],
    ["process_open_fds", { "": 20 }],
    ["process_max_fds", { "": 1000 }],
  ];
  for (const [name, values] of rows) {
    await t.step(name, () => assert.deepEqual(valuesOf(text, name), values));
  }
  await t.step("again, without adding up", async () => {
    const again = await format(metrics, async () => ({
      status: await agent.status(),
      ...READING,
    }));
    assert.equal(again, text);
  });
});

Deno.test("Metrics leaves out metrics of missing parts", async () => {
  await using started = await startAgent();
  const metrics = new Metrics({ version: "1" });
  const text = await format(metrics, async () => ({
    ...READING,
    status: await started.agent.status(),
    clusterChangedAtMs: undefined,
    events: undefined,
    registryStore: undefined,
    certificates: [],
    isRenewalFailing: undefined,
    probes: undefined,
  }));
  const none = ["cluster_last_change_timestamp_seconds", "registry_store_info"]
    .concat("certificate_not_after_timestamp_seconds")
    .concat("last_event_timestamp_seconds", "events_waiting")
    .concat("certificate_renewal_failing", "clock_offset_seconds");
  for (const name of none) {
    assert.deepEqual(valuesOf(text, `stellar_net_${name}`), {}, name);
  }
  metrics.agent.clockOffset(-1_500);
  const offset = valuesOf(
    await format(metrics),
    "stellar_net_clock_offset_seconds",
  );
  assert.deepEqual(offset, { "": -1.5 });
});

Deno.test("Metrics leaves out unreadable values", async () => {
  const metrics = new Metrics({ version: "1" });
  const text = await format(metrics);
  assert.deepEqual(valuesOf(text, "stellar_net_store_readable"), { "": 0 });
  assert.deepEqual(valuesOf(text, "stellar_net_fenced"), {});
  assert.deepEqual(valuesOf(text, "stellar_net_addresses"), {});
  assert.deepEqual(valuesOf(text, "process_cpu_seconds_total"), { "": 1.5 });
  const { text: unknown } = await metrics.format({
    agent: readNothing,
    process: () =>
      Promise.resolve({
        ...PROCESS,
        openFiles: undefined,
        maxFiles: undefined,
      }),
  });
  assert.deepEqual(valuesOf(unknown, "process_open_fds"), {});
  await assert.rejects(
    format(metrics, () => Promise.reject(new TypeError("a defect"))),
    /a defect/,
  );
});

Deno.test("promtool finds nothing wrong with the names, types and help of metrics", async () => {
  const metrics = new Metrics({ version: "1" });
  metrics.calls.ended(Network.method.info, { code: undefined, startedAtMs: 0 });
  const checked = await run("promtool", ["check", "metrics"], {
    stdin: await format(metrics),
  });
  assert.deepEqual(checked, { code: 0, stdout: "", stderr: "" });
});

Deno.test("Metrics cover the whole cluster at the agent that hosts its registry", async () => {
  await using t = await startAgent();
  const { agent } = t;
  const read = async (reading: Omit<AgentReading, "status">) => {
    const status = await agent.status();
    const metrics = new Metrics({});
    const { text } = await metrics.format({
      agent: () => Promise.resolve({ ...reading, status }),
      process: () => Promise.resolve(PROCESS),
    });
    return (text.match(/^stellar_net_(cluster_|network_).*$/gm) ?? [])
      .filter((line) => !/cluster_(nodes|last_change)/.test(line));
  };
  assert.deepEqual(await read(READING), [
    'stellar_net_cluster_hosts{state="ready"} 2',
    'stellar_net_cluster_hosts{state="unreachable"} 1',
    'stellar_net_cluster_hosts{state="no_agent"} 0',
    "stellar_net_cluster_hosts_without_report 1",
    'stellar_net_cluster_hosts_with_problems{severity="error"} 1',
    'stellar_net_cluster_hosts_with_problems{severity="warning"} 2',
    'stellar_net_cluster_problems{severity="error"} 3',
    'stellar_net_cluster_problems{severity="warning"} 4',
    "stellar_net_cluster_worst_use_ratio 0.75",
    "stellar_net_cluster_first_full_timestamp_seconds 20",
    'stellar_net_cluster_routes{state="installed"} 5',
    'stellar_net_cluster_routes{state="conflict"} 1',
    'stellar_net_cluster_routes{state="unresolved"} 0',
    'stellar_net_network_subnets{network="172.16.0.0/12",state="owned"} 3',
    'stellar_net_network_subnets{network="172.16.0.0/12",state="blocked"} 64',
    'stellar_net_network_subnets{network="172.16.0.0/12",state="free"} 957',
    'stellar_net_network_addresses{network="172.16.0.0/12",state="held"} 6',
    'stellar_net_network_addresses{network="172.16.0.0/12",state="free"} 3057',
    'stellar_net_network_full_timestamp_seconds{network="172.16.0.0/12"} 30',
  ]);
  assert.deepEqual(await read({ ...READING, cluster: undefined }), []);
});
