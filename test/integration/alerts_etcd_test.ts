import { join } from "node:path";
import {
  type AlertFaults,
  causeAlerts,
  prepareFaults,
  registryFaults,
} from "../lab/alert_faults.ts";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import type { LabClock } from "../lab/lab_clock.ts";
import { copyAsVersion } from "../lab/lab_image.ts";
import type { LabEtcdMember } from "../lab/lab_etcd.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { execArgs } from "../lab/netns.ts";
import {
  AlertWatch,
  FAST,
  GAP_MS,
  scrapedAt,
  STRICT,
} from "../lab/watched_lab.ts";
import { Prometheus } from "../support/prometheus.ts";

/** Space of etcd that a test fills quickly. */
const QUOTA_BYTES = 16 * 1024 * 1024;

Deno.test("with etcd, no alert fires while all parts restart, and each fires under its fault and clears", async (t) => {
  let clock: LabClock | undefined;
  await using cluster = await EtcdRegistryLab.create({
    ...{ registries: 2, joiners: 1, secure: true },
    agentArgs: ["--metrics", "0.0.0.0:9110"],
    etcdArgs: ["--quota-backend-bytes", String(QUOTA_BYTES)],
    prepare: async ([, , host3]) => void (clock = await prepareFaults(host3!)),
  });
  const { lab, etcd, hosts } = cluster;
  const [host1, host2, host3] = hosts as [LabHost, LabHost, LabHost];
  const watcher = etcd.members.at(-1)!.host;
  const watchWith = (divisor: number) =>
    Prometheus.start({
      ...{ dir: join(lab.dir, `prometheus-${divisor}`), divisor },
      // What reads etcd may wait for it briefly.
      scrapeMs: 1_000,
      targets: { "stellar-net": hosts.map(scrapedAt) },
      within: ["ip", ...execArgs(watcher.netns, [])],
    });
  const allJoined = async () => {
    for (const host of hosts) await host.joined();
  };
  {
    await using prometheus = await watchWith(STRICT);
    await using watch = new AlertWatch(prometheus);
    await t.step("each member of etcd restarts", async () => {
      for (const member of etcd.members) {
        await member.kill("SIGTERM");
        member.start();
        await etcd.ready();
        await allJoined();
      }
      watch.check();
    });
    await t.step("each agent is upgraded", async () => {
      const next = await copyAsVersion(join(lab.dir, "next"), "9.9.9");
      for (const { agent } of hosts) {
        agent.program = next;
        await agent.restart();
        await allJoined();
      }
      watch.check();
    });
    await t.step("etcd is restored from a snapshot", async () => {
      const snapshot = join(lab.dir, "snapshot.db");
      await etcd.members[0]!.ctl(["snapshot", "save", snapshot]);
      for (const member of etcd.members) await member.kill();
      await etcd.restore(snapshot);
      for (const { agent } of hosts.slice(0, 2)) await agent.restart();
      await allJoined();
      watch.check();
    });
    await t.step("Prometheus restarts", async () => {
      await prometheus.restart();
      watch.check();
    });
    await t.step("nothing is scraped for a while", async () => {
      await prometheus.pause(GAP_MS);
      watch.check();
    });
  }
  await using prometheus = await watchWith(FAST);
  const [one, two] = etcd.members as [LabEtcdMember, LabEtcdMember];
  const faults: AlertFaults = {
    "etcd is without its quorum": {
      alerts: [
        ["StellarNetRegistryUnreachable", host1],
        ["StellarNetRegistryUnreachable", host3],
        ["StellarNetRegistryCommitsFail", host1],
      ],
      cause: () => Promise.all([one.kill(), two.kill()]),
      fix: () => {
        one.start();
        two.start();
        return etcd.ready();
      },
    },
    "etcd is out of space": {
      alerts: [
        ["StellarNetRegistryCommitsFail", host1],
        ["StellarNetRegistryCommitsFail", host2],
      ],
      cause: () => etcd.fill(),
      fix: () => etcd.makeRoom(),
    },
    ...await registryFaults({
      ...{ lab, registry: host1, second: host2, third: host3, clock: clock! },
      readmit: (host) => lab.admit(host, ["--name", host.name]),
    }),
  };
  await causeAlerts(t, prometheus, { faults });
});
