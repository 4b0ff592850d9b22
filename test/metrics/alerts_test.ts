import assert from "node:assert/strict";
import { join } from "node:path";
import type { StellarCommand } from "../../src/cli/framework/command.ts";
import { createProgram } from "../../src/cli/program.ts";
import { createFakeIo } from "../cli/fake_io.ts";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const RULES = join(ROOT, "docs/alerts.yml");

/** A series in promtool's notation: a sample a minute. */
type Input = readonly [series: string, values: string];

interface Row {
  readonly alert: string;
  /** What lets it fire, within `afterMinutes`. */
  readonly bad: readonly Input[];
  readonly afterMinutes: number;
  /** What does not, at any time. */
  readonly good: readonly Input[];
  /** Time between samples. Default: a minute. */
  readonly interval?: string;
}

/** Commits of a store. */
const commits = (store: string, outcome: string) =>
  `stellar_net_store_commits_total{store="${store}",outcome="${outcome}"}`;

/** A value that stays. */
const stays = (value: number) => `${value}x120`;

// Every alert once or more often.
const ROWS: readonly Row[] = [
  {
    alert: "StellarNetHostsUnreachable",
    bad: [['stellar_net_cluster_hosts{state="unreachable"}', stays(1)]],
    afterMinutes: 3,
    good: [
      ['stellar_net_cluster_hosts{state="unreachable"}', stays(0)],
      ['stellar_net_cluster_hosts{state="ready"}', stays(3)],
    ],
  },
  {
    alert: "StellarNetHostsWithErrors",
    bad: [[
      'stellar_net_cluster_hosts_with_problems{severity="error"}',
      stays(2),
    ]],
    afterMinutes: 6,
    good: [
      ['stellar_net_cluster_hosts_with_problems{severity="error"}', stays(0)],
      ['stellar_net_cluster_hosts_with_problems{severity="warning"}', stays(3)],
    ],
  },
  {
    alert: "StellarNetRegistryUnreachable",
    bad: [["stellar_net_registry_reachable", stays(0)]],
    afterMinutes: 3,
    good: [["stellar_net_registry_reachable", stays(1)]],
  },
  {
    alert: "StellarNetRegistryBehind",
    bad: [
      ["stellar_net_registry_revision", stays(7)],
      ['stellar_net_registry_head_revision{host="a"}', stays(8)],
    ],
    afterMinutes: 3,
    // A little later than the registry, which is what scrapes make of it.
    good: [
      ["stellar_net_registry_revision", "0+1x120"],
      ['stellar_net_registry_head_revision{host="a"}', "1+1x120"],
    ],
  },
  {
    alert: "StellarNetRegistryBehind",
    // It stops at a revision, long after others went on.
    bad: [
      ["stellar_net_registry_revision", "0+1x10 10x120"],
      ['stellar_net_registry_head_revision{host="a"}', "0+1x120"],
    ],
    afterMinutes: 20,
    // A restore takes the registry back, and the agents with it.
    good: [
      ["stellar_net_registry_revision", "90+1x10 40+1x109"],
      ['stellar_net_registry_head_revision{host="a"}', "90+1x10 40+1x109"],
    ],
  },
  {
    alert: "StellarNetFenced",
    bad: [["stellar_net_fenced", stays(1)]],
    afterMinutes: 2,
    good: [["stellar_net_fenced", stays(0)]],
  },
  {
    alert: "StellarNetNoPeerReady",
    bad: [
      ['stellar_net_peers{state="ready"}', stays(0)],
      ['stellar_net_peers{state="unreachable"}', stays(2)],
    ],
    afterMinutes: 3,
    // A cluster of one.
    good: [
      ['stellar_net_peers{state="ready"}', stays(0)],
      ['stellar_net_peers{state="unreachable"}', stays(0)],
    ],
  },
  {
    alert: "StellarNetSubnetNearlyFull",
    bad: addresses(950, 1000),
    afterMinutes: 12,
    good: addresses(850, 1000),
  },
  {
    alert: "StellarNetSubnetExhausted",
    bad: addresses(1000, 1000),
    afterMinutes: 2,
    good: addresses(999, 1000),
  },
  {
    alert: "StellarNetAllocationsRefused",
    bad: [['stellar_net_allocations_total{outcome="exhausted"}', "0+1x120"]],
    afterMinutes: 4,
    good: [
      ['stellar_net_allocations_total{outcome="created"}', "0+1x120"],
      ['stellar_net_allocations_total{outcome="exhausted"}', stays(5)],
    ],
  },
  {
    alert: "StellarNetLeakCandidates",
    bad: [["stellar_net_leak_candidates", stays(11)]],
    afterMinutes: 62,
    good: [["stellar_net_leak_candidates", stays(10)]],
  },
  {
    alert: "StellarNetReleaseQueueStuck",
    bad: [["stellar_net_release_queue_length", stays(1)]],
    afterMinutes: 7,
    // It is applied, and comes again.
    good: [["stellar_net_release_queue_length", "1 0 1 0 1 0 1 0 1 0 1 0 1"]],
  },
  {
    alert: "StellarNetRouteConflict",
    bad: [['stellar_net_routes{state="conflict"}', stays(1)]],
    afterMinutes: 7,
    good: [
      ['stellar_net_routes{state="conflict"}', stays(0)],
      ['stellar_net_routes{state="installed"}', stays(1)],
    ],
  },
  {
    alert: "StellarNetRoutesNotInstalled",
    bad: [
      ['stellar_net_routes{state="unresolved"}', stays(1)],
      ['stellar_net_routes_mode_info{mode="apply"}', stays(1)],
    ],
    afterMinutes: 7,
    good: [
      ['stellar_net_routes{state="unresolved"}', stays(1)],
      ['stellar_net_routes_mode_info{mode="off"}', stays(1)],
    ],
  },
  {
    alert: "StellarNetRoutesFailing",
    bad: [["stellar_net_routes_failing", stays(1)]],
    afterMinutes: 4,
    good: [["stellar_net_routes_failing", stays(0)]],
  },
  {
    alert: "StellarNetRouteRepairsFlapping",
    bad: [
      ['stellar_net_route_repairs_total{cause="missing"}', "0+1x120"],
      ['stellar_net_route_repairs_total{cause="changed"}', "0+1x120"],
    ],
    afterMinutes: 20,
    // A link that bounced once.
    good: [[
      'stellar_net_route_repairs_total{cause="missing"}',
      "0 0 0 5 5 5 5x120",
    ]],
  },
  ...(["Dead", "Narrow", "Lossy"] as const).map((state): Row => {
    const series = `stellar_net_probe_paths{state="${state.toLowerCase()}"}`;
    return {
      alert: `StellarNetPath${state}`,
      bad: [[series, stays(1)]],
      afterMinutes: state === "Lossy" ? 7 : 3,
      good: [
        [series, stays(0)],
        ['stellar_net_probe_paths{state="alive"}', stays(3)],
        ['stellar_net_probe_paths{state="unmeasured"}', stays(1)],
      ],
    };
  }),
  {
    alert: "StellarNetAgentDown",
    bad: [
      ["up", "1 1 0x120"],
      ['stellar_net_build_info{version="1"}', "1 1 stale"],
    ],
    afterMinutes: 10,
    // Another program is down.
    good: [["up", "1 1 0x120"]],
  },
  {
    alert: "StellarNetAgentRestarting",
    bad: [
      ["process_start_time_seconds", "0+60x120"],
      ['stellar_net_build_info{version="1"}', stays(1)],
    ],
    afterMinutes: 8,
    // Of another program.
    good: [["process_start_time_seconds", "0+60x120"]],
  },
  {
    alert: "StellarNetStoreCommitsFail",
    bad: [[commits("kv", "failed"), "0+1x120"]],
    afterMinutes: 4,
    good: [
      [commits("kv", "failed"), stays(3)],
      [commits("kv", "conflict"), "0+1x120"],
      [commits("etcd", "failed"), "0+1x120"],
    ],
  },
  {
    alert: "StellarNetRegistryCommitsFail",
    bad: [[commits("etcd", "failed"), "0+1x120"]],
    afterMinutes: 6,
    // One commit fails when etcd changes its leader.
    good: [
      [commits("etcd", "failed"), "0x10 1x10 2x100"],
      [commits("kv", "failed"), "0+1x120"],
    ],
  },
  {
    alert: "StellarNetEventsNotStored",
    bad: [["stellar_net_events_waiting", stays(1)]],
    afterMinutes: 7,
    // They are gathered before they are stored.
    good: [["stellar_net_events_waiting", "1 0 1 0 1 0 1 0 1 0 1 0 1"]],
  },
  {
    alert: "StellarNetStoreUnreadable",
    bad: [["stellar_net_store_readable", stays(0)]],
    afterMinutes: 2,
    good: [["stellar_net_store_readable", stays(1)]],
  },
  {
    alert: "StellarNetCallsFail",
    bad: [['stellar_net_rpc_calls_total{code="Internal"}', "0+1x120"]],
    afterMinutes: 4,
    good: [['stellar_net_rpc_calls_total{code="NotFound"}', "0+1x120"]],
  },
  {
    alert: "StellarNetFilesNearlyUsedUp",
    bad: [
      ["process_open_fds", stays(900)],
      ["process_max_fds", stays(1000)],
      ['stellar_net_build_info{version="1"}', stays(1)],
    ],
    afterMinutes: 12,
    good: [
      ["process_open_fds", stays(100)],
      ["process_max_fds", stays(1000)],
      ['stellar_net_build_info{version="1"}', stays(1)],
    ],
  },
  {
    alert: "StellarNetClockOff",
    bad: [
      ["stellar_net_clock_offset_seconds", stays(-6)],
      ["stellar_net_registry_reachable", stays(1)],
    ],
    afterMinutes: 3,
    good: [
      ["stellar_net_clock_offset_seconds", stays(-4)],
      ["stellar_net_registry_reachable", stays(1)],
      ["stellar_net_clock_timestamp_seconds", "20+60x120"],
    ],
  },
  {
    alert: "StellarNetClockOff",
    // Here the time begins with 0.
    bad: [["stellar_net_clock_timestamp_seconds", "40+60x120"]],
    afterMinutes: 3,
    // The offset is an old one.
    good: [
      ["stellar_net_clock_offset_seconds", stays(60)],
      ["stellar_net_registry_reachable", stays(0)],
    ],
  },
  {
    alert: "StellarNetBackupOld",
    interval: "4h",
    // There was none.
    bad: [
      ["stellar_net_last_backup_timestamp_seconds", stays(0)],
      ["process_start_time_seconds", stays(0)],
      ['stellar_net_registry_store_info{store="kv"}', stays(1)],
    ],
    afterMinutes: 8 * 24 * 60,
    good: [
      ["stellar_net_last_backup_timestamp_seconds", "0+14400x120"],
      ["process_start_time_seconds", stays(0)],
      ['stellar_net_registry_store_info{store="kv"}', stays(1)],
    ],
  },
  {
    alert: "StellarNetBackupOld",
    interval: "4h",
    // A restart is no backup.
    bad: [
      ["stellar_net_last_backup_timestamp_seconds", stays(60)],
      ["process_start_time_seconds", "0+14400x120"],
      ['stellar_net_registry_store_info{store="kv"}', stays(1)],
    ],
    afterMinutes: 8 * 24 * 60,
    // etcd has backups of its own.
    good: [
      ["stellar_net_last_backup_timestamp_seconds", stays(0)],
      ["process_start_time_seconds", stays(0)],
      ['stellar_net_registry_store_info{store="etcd"}', stays(1)],
    ],
  },
  {
    alert: "StellarNetCertificateExpiring",
    bad: certificate("0x120", "3600x120"),
    afterMinutes: 66,
    good: certificate("0+60x120", "3600+60x120"),
  },
  {
    alert: "StellarNetCertificateExpiring",
    bad: certificate("0x120", "3600x120"),
    afterMinutes: 66,
    // An authority of ten years, 300 days before its end.
    good: certificate("-315360000x120", "25920000x120"),
  },
  {
    alert: "StellarNetRenewalFailing",
    bad: [["stellar_net_certificate_renewal_failing", stays(1)]],
    afterMinutes: 32,
    good: [["stellar_net_certificate_renewal_failing", stays(0)]],
  },
];

function certificate(notBefore: string, notAfter: string): Input[] {
  const series = (name: string) =>
    `stellar_net_certificate_${name}_timestamp_seconds{certificate="node"}`;
  return [[series("not_before"), notBefore], [series("not_after"), notAfter]];
}

function addresses(held: number, capacity: number): Input[] {
  return [
    ['stellar_net_addresses{subnet="s",state="held"}', stays(held)],
    ['stellar_net_addresses_capacity{subnet="s"}', stays(capacity)],
  ];
}

/** A series with the labels that Prometheus adds. */
function withTarget(series: string, instance: string): string {
  // Two clusters: neither makes the other's alerts.
  const target = `job="${instance}",instance="${instance}"`;
  return series.endsWith("}")
    ? series.replace("{", `{${target},`)
    : `${series}{${target}}`;
}

/** A test of promtool in which the bad host has the alert, and the good one has none. */
function toPromtool(row: Row): unknown {
  const { alert, bad, good, afterMinutes, interval = "1m" } = row;
  const inputs = ([["bad", bad], ["good", good]] as const).flatMap(
    ([instance, series]) =>
      series.map(([name, values]) => ({
        series: withTarget(name, instance),
        values,
      })),
  );
  const alerts = `ALERTS{alertname="${alert}",alertstate="firing"}`;
  const exp_samples = [{ labels: '{instance="bad"}', value: 1 }];
  return {
    interval,
    input_series: inputs,
    promql_expr_test: [{
      expr: `count by (instance) (${alerts})`,
      eval_time: `${afterMinutes}m`,
      exp_samples,
    }, {
      expr: `count by (instance) (max_over_time(${alerts}[${afterMinutes}m]))`,
      eval_time: `${afterMinutes}m`,
      exp_samples,
    }],
  };
}

/** The rules by name, as text: there is no parser of YAML here. */
async function readRules(): Promise<Map<string, string>> {
  const [, ...rules] = (await Deno.readTextFile(RULES)).split(/^ +- alert: /m);
  return new Map(rules.map((rule) => [rule.split("\n", 1)[0]!, rule]));
}

function commandPaths(command: StellarCommand): string[] {
  const children = command.commands as readonly StellarCommand[];
  return [command.path(), ...children.flatMap(commandPaths)];
}

Deno.test("promtool takes the alert rules", async () => {
  const { code, stdout, stderr } = await run("promtool", [
    "check",
    "rules",
    "--lint=all",
    "--lint-fatal",
    RULES,
  ]);
  assert.equal(code, 0, stdout + stderr);
});

Deno.test("every alert fires when it should, and not otherwise", async (t) => {
  const rules = await readRules();
  assert.deepEqual(
    [...new Set(ROWS.map(({ alert }) => alert))].sort(),
    [...rules.keys()]
      .sort(),
  );
  for (const row of ROWS) {
    await t.step(row.alert, () =>
      withTempDir(async (dir) => {
        const path = join(dir, "test.yml");
        // JSON is YAML.
        const text = JSON.stringify({
          rule_files: [RULES],
          evaluation_interval: row.interval ?? "1m",
          tests: [toPromtool(row)],
        });
        await Deno.writeTextFile(path, text);
        const done = await run("promtool", ["test", "rules", path]);
        assert.equal(done.code, 0, done.stdout + done.stderr);
      }));
  }
});

Deno.test("every alert waits, has a severity, and names a command that there is", async (t) => {
  const program = createProgram(createFakeIo().io, () => Promise.resolve());
  const paths = commandPaths(program);
  for (const [alert, rule] of await readRules()) {
    await t.step(alert, () => {
      assert.match(rule, /^ +for: \d+[mh]$/m);
      assert.match(rule, /^ +severity: (?:warning|critical)$/m);
      assert.match(rule, /^ +summary: >-\n +\S/m);
      const runbook = rule.split("runbook: >-")[1] ?? "";
      const commands = [...runbook.matchAll(/`(stellar-net(?: [a-z]+)+)/g)]
        .map(([, command]) => command!);
      assert.ok(commands.length > 0, "no command");
      const unknown = commands.filter((command) => !paths.includes(command));
      assert.deepEqual(unknown, []);
    });
  }
});

Deno.test("every alert is caused against real agents", async () => {
  const tests = [
    "integration/alerts_agent_test.ts",
    "integration/alerts_cluster_test.ts",
    "integration/alerts_etcd_test.ts",
    "lab/alert_faults.ts",
  ];
  const texts = await Promise.all(
    tests.map((name) => Deno.readTextFile(join(ROOT, "test", name))),
  );
  const caused = texts.join("\n").match(/\bStellarNet\w+(?=")/g);
  const rules = await readRules();
  assert.deepEqual([...new Set(caused)].sort(), [...rules.keys()].sort());
});
