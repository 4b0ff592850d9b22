import assert from "node:assert/strict";
import { join } from "node:path";
import { LabClock } from "../lab/lab_clock.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { AlertWatch, createWatchedLab, scrapedAt } from "../lab/watched_lab.ts";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { copyAsVersion } from "../lab/lab_image.ts";
import { execArgs } from "../lab/netns.ts";
import { Prometheus } from "../support/prometheus.ts";
import { ROOT } from "../generate.ts";

/** An hour becomes a second: every fault is waited for twice. */
const FAST = 3_600;
/** An outage of a second counts like one of five. */
const STRICT = 5;
/** Less than curl waits for an answer of Prometheus. */
const GAP_MS = 8_000;
const NEXT_VERSION = "9.9.9";

/** A fault, and what its alerts are, by host. */
interface Fault {
  readonly alerts: readonly (readonly [alert: string, host: LabHost])[];
  cause(): Promise<unknown>;
  fix(): Promise<unknown>;
}

Deno.test("every alert of a cluster fires under its fault, and clears after the fix", async (t) => {
  const clocks: LabClock[] = [];
  await using watched = await createWatchedLab({
    ...{ hosts: 3, divisor: FAST },
    async prepare([, , host3]) {
      clocks.push(await LabClock.giveTo(host3!));
      await breakable(host3!);
    },
  });
  const { prometheus } = watched;
  const [host1, host2, host3] = watched.hosts as [LabHost, LabHost, LabHost];
  const [clock] = clocks as [LabClock];
  const cli = (...args: readonly string[]) => host1.must("stellar-net", args);
  const [subnet3] = await host3.joined();
  const broken = join(host3.dir, "broken");
  const faults: Readonly<Record<string, Fault>> = {
    "the registry is down": {
      alerts: [
        ["StellarNetRegistryUnreachable", host2],
        ["StellarNetAgentDown", host1],
      ],
      cause: () => host1.agent.kill(),
      fix: () => host1.agent.start(),
    },
    "all peers are down": {
      alerts: [["StellarNetNoPeerReady", host1]],
      cause: () => Promise.all([host2.agent.kill(), host3.agent.kill()]),
      fix: () => Promise.all([host2.agent.start(), host3.agent.start()]),
    },
    "another route is in the way": {
      alerts: [["StellarNetRouteConflict", host2]],
      cause: async () => {
        // In one step: the agent would put a missing route back.
        await host2.ip(`route replace ${subnet3} via 198.18.0.1 proto static`);
      },
      fix: () => host2.ip(`route del ${subnet3} proto static`),
    },
    "a route's target is nowhere": {
      alerts: [["StellarNetRoutesNotInstalled", host2]],
      cause: () => cli("route", "add", "10.60.0.0/16", "198.19.0.9"),
      fix: () => cli("route", "delete", "10.60.0.0/16"),
    },
    "ip cannot be run": {
      alerts: [["StellarNetRoutesFailing", host3]],
      cause: async () => {
        await Deno.writeTextFile(broken, "");
        await cli("route", "add", "10.61.0.0/16", host2.address);
      },
      fix: async () => {
        await Deno.remove(broken);
        await cli("route", "delete", "10.61.0.0/16");
      },
    },
    "another program removes routes": {
      alerts: [["StellarNetRouteRepairsFlapping", host2]],
      cause: async () => {
        for (let i = 0; i < 8; i++) {
          await host2.ip("route flush proto 83");
          await watched.lab.waitFor(
            "the routes",
            async () => (await host2.routes()).length >= 2,
          );
        }
      },
      fix: () => Promise.resolve(),
    },
    "a path is dead": {
      alerts: [["StellarNetPathDead", host2], ["StellarNetPathDead", host3]],
      cause: () => watched.lab.partition(host2, host3),
      fix: () => watched.lab.heal(),
    },
    "a path loses packets": {
      alerts: [["StellarNetPathLossy", host2], ["StellarNetPathLossy", host3]],
      cause: () => watched.lab.lose(host2, host3, 20),
      fix: () => watched.lab.heal(),
    },
    "a path is narrow": {
      alerts: [["StellarNetPathNarrow", host2], [
        "StellarNetPathNarrow",
        host3,
      ]],
      cause: () => host3.narrow(1400),
      fix: () => host3.narrow(),
    },
    "a clock that is off": {
      alerts: [["StellarNetClockOff", host3]],
      cause: () => clock.moveHours(1 / 60),
      fix: () => clock.moveHours(-1 / 60),
    },
    "a subnet that belongs to another": {
      alerts: [["StellarNetFenced", host3]],
      cause: async () => {
        await host3.agent.kill();
        await cli("node", "remove", "host3", "--force");
        await cli("subnet", "reserve", subnet3!, "--node", "other");
        await host3.agent.start();
      },
      fix: () => cli("subnet", "unreserve", subnet3!),
    },
  };
  for (const [name, { alerts, cause, fix }] of Object.entries(faults)) {
    await t.step(name, async () => {
      await cause();
      for (const [alert, host] of alerts) {
        await prometheus.waitForAlert(alert, { instance: scrapedAt(host) });
      }
      await fix();
      for (const [alert, host] of alerts) {
        await prometheus.waitForAlert(alert, {
          instance: scrapedAt(host),
          fires: false,
        });
      }
    });
  }
  await t.step("the target of an extra route does not miss it", async () => {
    await cli("route", "add", "10.62.0.0/16", host2.address);
    await watched.lab.waitFor(
      "the route",
      async () => (await host1.routes()).some((r) => /10\.62/.test(r)),
    );
    const missing = await prometheus.query(
      'max_over_time(stellar_net_routes{state="unresolved"}[3s])',
    );
    assert.deepEqual(missing.filter(({ value }) => value > 0), []);
  });
});

/** Has a host's agent run `ip` through a script that fails while the file `broken` is there. */
async function breakable(host: LabHost): Promise<void> {
  const dir = join(host.dir, "bin");
  await Deno.mkdir(dir);
  await Deno.writeTextFile(
    join(dir, "ip"),
    `#!/bin/sh\n[ -e '${host.dir}/broken' ] && exit 1\nexec /usr/sbin/ip "$@"\n`,
    { mode: 0o755 },
  );
  const { PATH } = host.env;
  host.agent.env = { ...host.agent.env, PATH: `${dir}:${PATH}` };
}

/** The queries of the dashboard by panel, with what Grafana fills in. */
async function readPanels(): Promise<ReadonlyMap<string, readonly string[]>> {
  const text = await Deno.readTextFile(join(ROOT, "docs/dashboard.json"));
  const { panels } = JSON.parse(text) as {
    readonly panels: readonly {
      readonly type: string;
      readonly title: string;
      readonly targets?: readonly { readonly expr: string }[];
    }[];
  };
  return new Map(
    panels.filter(({ type }) => type !== "row").map(({ title, targets }) => [
      title,
      targets!.map(({ expr }) =>
        expr.replaceAll("$__rate_interval", "10s").replaceAll("$instance", ".*")
      ),
    ]),
  );
}

/** Panels that are empty while all is well: they show what is wrong. */
const EMPTY_WHEN_WELL = [
  "Hosts with conflicts or missing routes",
  "Not reachable, or fenced",
  "Time left, of the whole",
];

Deno.test("no alert fires while a cluster works and its parts restart, and every panel shows data", async (t) => {
  await using watched = await createWatchedLab({
    ...{ hosts: 3, divisor: STRICT, secure: true },
  });
  const { prometheus, hosts, lab } = watched;
  const [host1, host2, host3] = hosts as [LabHost, LabHost, LabHost];
  {
    await using watch = new AlertWatch(prometheus, async (turn) => {
      // Work to show, and a call that fails. The agent may be restarting.
      await host1.exec("stellar-net", ["ip", "allocate", `work${turn % 5}`]);
      await host1.exec("stellar-net", ["ip", "release", `work${turn % 5}`]);
      await host1.exec("stellar-net", ["node", "remove", "nobody"]);
    });
    const isQuiet = () => assert.deepEqual(watch.fired, []);
    await t.step("containers come and go", async () => {
      for (const host of hosts) {
        await host.addContainer("c1");
        await host.addContainer("c2");
        await host.removeContainer("c2");
      }
      await host1.must("stellar-net", [
        ...["backup", join(host1.dir, "backup.jsonl")],
      ]);
      isQuiet();
    });
    await t.step(
      "every agent is upgraded, the registry in between",
      async () => {
        const next = await copyAsVersion(join(lab.dir, "next"), NEXT_VERSION);
        const versions = async () => {
          const builds = await prometheus.query("stellar_net_build_info");
          return builds.map(({ labels }) => labels.version).sort().join(" ");
        };
        const before = (await versions()).split(" ")[0]!;
        for (const [i, host] of [host2, host1, host3].entries()) {
          host.agent.program = next;
          await host.agent.stop();
          await host.agent.start();
          for (const each of hosts) await each.joined();
          const wanted = [
            ...Array<string>(2 - i).fill(before),
            ...Array<string>(i + 1).fill(NEXT_VERSION),
          ].join(" ");
          await lab.waitFor(wanted, async () => await versions() === wanted);
        }
        isQuiet();
      },
    );
    await t.step("the registry is restored from a backup", async () => {
      await host1.must("stellar-net", [
        "route",
        "add",
        "10.60.0.0/16",
        host1.address,
      ]);
      await host1.agent.stop();
      await Deno.rename(host1.agent.stateDir, `${host1.agent.stateDir}.old`);
      await host1.must("stellar-net", [
        ...["restore", join(host1.dir, "backup.jsonl")],
        ...["--state", host1.agent.stateDir, "--settle", "5s"],
      ]);
      await host1.agent.start();
      for (const host of hosts) await host.joined();
      isQuiet();
    });
    await t.step("nothing is scraped for a while", async () => {
      await prometheus.pause(GAP_MS);
      await lab.waitFor(
        "the scrapes",
        async () => (await prometheus.query("up == 1")).length === hosts.length,
      );
      isQuiet();
    });
    await t.step("every panel of the dashboard shows data", async (t) => {
      await host1.must("stellar-net", [
        ...["backup", join(host1.dir, "backup2.jsonl")],
      ]);
      for (const [title, queries] of await readPanels()) {
        await t.step(title, async () => {
          for (const query of queries) {
            // A filter for what is wrong hides what is well.
            const all = EMPTY_WHEN_WELL.includes(title)
              ? query.replace(/ > 0$/, "")
              : query;
            await lab.waitFor(query, async () => {
              const samples = await prometheus.query(all);
              return samples.some(({ value }) => !Number.isNaN(value));
            }, { everyMs: 500 });
          }
        });
      }
      isQuiet();
    });
  }
});

Deno.test("with etcd, no alert fires while members of etcd and agents restart", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    ...{ registries: 2, joiners: 1, secure: true },
    agentArgs: ["--metrics", "0.0.0.0:9110"],
  });
  const { lab, etcd, hosts } = cluster;
  const watcher = etcd.members.at(-1)!.host;
  await using prometheus = await Prometheus.start({
    dir: join(lab.dir, "prometheus"),
    divisor: STRICT,
    targets: { "stellar-net": hosts.map(scrapedAt) },
    within: ["ip", ...execArgs(watcher.netns, [])],
  });
  await using watch = new AlertWatch(prometheus);
  const allJoined = async () => {
    for (const host of hosts) await host.joined();
  };
  await t.step("each member of etcd restarts", async () => {
    for (const member of etcd.members) {
      await member.kill("SIGTERM");
      member.start();
      await etcd.ready();
      await allJoined();
    }
    assert.deepEqual(watch.fired, []);
  });
  await t.step("each agent restarts", async () => {
    for (const { agent } of hosts) {
      await agent.restart();
      await allJoined();
    }
    assert.deepEqual(watch.fired, []);
  });
  await t.step("nothing is scraped for a while", async () => {
    await prometheus.pause(GAP_MS);
    await lab.waitFor(
      "the scrapes",
      async () => (await prometheus.query("up == 1")).length === hosts.length,
    );
    assert.deepEqual(watch.fired, []);
  });
});
