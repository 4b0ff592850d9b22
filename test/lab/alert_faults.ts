import { join } from "node:path";
import type { Prometheus } from "../support/prometheus.ts";
import type { Lab } from "./lab.ts";
import { LabClock } from "./lab_clock.ts";
import type { LabHost } from "./lab_host.ts";
import { AlertWatch, scrapedAt } from "./watched_lab.ts";

/** A fault of a cluster, and its alerts. */
export interface AlertFault {
  /** Those that have to fire, and the host for which. */
  readonly alerts: readonly (readonly [alert: string, host: LabHost])[];
  cause(): Promise<unknown>;
  fix(): Promise<unknown>;
}

export type AlertFaults = Readonly<Record<string, AlertFault>>;

/**
 * Causes faults one after the other. Each time the alerts of the fault fire and
 * clear after the fix, and no alert fires that is untrue.
 *
 * @param always alerts that fire throughout
 */
export async function causeAlerts(
  t: Deno.TestContext,
  prometheus: Prometheus,
  { faults, always = [] }: {
    readonly faults: AlertFaults;
    readonly always?: readonly string[];
  },
): Promise<void> {
  for (const [name, { alerts, cause, fix }] of entries(faults)) {
    const isDone = await t.step(name, async () => {
      await using watch = new AlertWatch(prometheus);
      await cause();
      for (const [alert, host] of alerts) {
        await prometheus.waitForAlert(alert, { instance: scrapedAt(host) });
      }
      await fix();
      await prometheus.waitForQuiet(always);
      const own = alerts.map(([alert]) => alert);
      const known = [...own, ...always, ...PASSING];
      watch.check((fired) => known.includes(fired), `after "${name}"`);
    });
    // The next one would be caused on top of it.
    if (!isDone) return;
  }
}

const entries = Object.entries<AlertFault>;

/**
 * Alerts of states that last for seconds after a part has restarted, or on a
 * busy machine: minutes are seconds here. Others fire only if they are true.
 */
const PASSING = [
  "StellarNetAgentDown",
  "StellarNetEventsNotStored",
  "StellarNetHostsUnreachable",
  "StellarNetHostsWithErrors",
  "StellarNetNoPeerReady",
  "StellarNetPathDead",
  "StellarNetPathLossy",
  "StellarNetPathNarrow",
  "StellarNetRegistryBehind",
  "StellarNetRegistryCommitsFail",
  "StellarNetRegistryUnreachable",
  "StellarNetRoutesNotInstalled",
];

/** Hosts whose faults a test causes. */
export interface FaultyHosts {
  readonly lab: Lab;
  /** Hosts the registry. The command line runs here. */
  readonly registry: LabHost;
  /** Two others. */
  readonly second: LabHost;
  readonly third: LabHost;
  /** The clock of the third. */
  readonly clock: LabClock;
  /** Lets a host join again that was removed. */
  readonly readmit: (host: LabHost) => Promise<unknown>;
}

/** Prepares a host whose agent does not run for the faults. @returns its clock */
export async function prepareFaults(third: LabHost): Promise<LabClock> {
  const clock = await LabClock.giveTo(third);
  const dir = join(third.dir, "bin");
  await Deno.mkdir(dir);
  await Deno.writeTextFile(
    join(dir, "ip"),
    `#!/bin/sh\n[ -e '${broken(third)}' ] && exit 1\nexec /usr/sbin/ip "$@"\n`,
    { mode: 0o755 },
  );
  const { PATH } = third.env;
  third.agent.env = { ...third.agent.env, PATH: `${dir}:${PATH}` };
  return clock;
}

/** While this file is there, `ip` fails on a host. */
function broken(host: LabHost): string {
  return join(host.dir, "broken");
}

/** A store that does not take a change now, such as etcd while it elects a leader. */
const PASSES = /did not decide in time|does not answer|timed out|try again/;
/** A change that is made already: the answer to an earlier attempt was lost. */
const IS_MADE = /it is not known|no such route|is not reserved/;

/**
 * Runs changes on the host of the registry. On a busy machine etcd may elect a
 * leader at any moment, and then a change fails that would succeed later.
 */
function settler({ lab, registry }: FaultyHosts) {
  return async (...args: readonly string[]): Promise<void> => {
    let attempts = 0;
    let refusal: string | undefined;
    await lab.waitFor(`stellar-net ${args.join(" ")}`, async () => {
      const { code, stderr } = await registry.exec("stellar-net", args);
      if (code === 0 || attempts++ > 0 && IS_MADE.test(stderr)) return true;
      if (PASSES.test(stderr)) throw new Error(stderr);
      refusal = stderr;
      return true;
    });
    if (refusal !== undefined) {
      throw new Error(`Cannot run stellar-net ${args.join(" ")}: ${refusal}`);
    }
  };
}

/** Faults that are seen through the registry, whatever store it has. */
export async function registryFaults(hosts: FaultyHosts): Promise<AlertFaults> {
  const { lab, second, third, clock, readmit, registry } = hosts;
  const cli = settler(hosts);
  const [subnet] = await third.joined();
  return {
    "all peers are down": {
      alerts: [
        ["StellarNetNoPeerReady", registry],
        ["StellarNetAgentDown", second],
        ["StellarNetHostsUnreachable", registry],
      ],
      cause: () => Promise.all([second.agent.kill(), third.agent.kill()]),
      fix: () => Promise.all([second.agent.start(), third.agent.start()]),
    },
    "a clock that is off": {
      alerts: [["StellarNetClockOff", third]],
      cause: () => clock.moveHours(1 / 60),
      fix: () => clock.moveHours(-1 / 60),
    },
    "a host that does not hear of changes": {
      alerts: [
        ["StellarNetRegistryUnreachable", third],
        ["StellarNetRegistryBehind", third],
      ],
      cause: async () => {
        for (const host of [registry, second]) await lab.partition(host, third);
        await cli("route", "add", "10.62.0.0/16", second.address);
      },
      fix: async () => {
        await lab.heal();
        await cli("route", "delete", "10.62.0.0/16");
      },
    },
    "a subnet that belongs to another": {
      alerts: [["StellarNetFenced", third]],
      cause: async () => {
        await third.agent.kill();
        await cli("node", "remove", third.name, "--force");
        await cli("subnet", "reserve", subnet!, "--node", "other");
        await readmit(third);
        await third.agent.start();
      },
      fix: () => cli("subnet", "unreserve", subnet!),
    },
  };
}

/** Faults of the routes of hosts. */
export async function routeFaults(hosts: FaultyHosts): Promise<AlertFaults> {
  const { lab, registry, second, third } = hosts;
  const cli = settler(hosts);
  const [subnet] = await third.joined();
  return {
    "another route is in the way": {
      alerts: [
        ["StellarNetRouteConflict", second],
        ["StellarNetHostsWithErrors", registry],
      ],
      // In one step: the agent would put a missing route back.
      cause: () =>
        second.ip(`route replace ${subnet} via 198.18.0.1 proto static`),
      fix: () => second.ip(`route del ${subnet} proto static`),
    },
    "a route's target is nowhere": {
      alerts: [["StellarNetRoutesNotInstalled", second]],
      cause: () => cli("route", "add", "10.60.0.0/16", "198.19.0.9"),
      fix: () => cli("route", "delete", "10.60.0.0/16"),
    },
    "ip cannot be run": {
      alerts: [["StellarNetRoutesFailing", third]],
      cause: async () => {
        await Deno.writeTextFile(broken(third), "");
        await cli("route", "add", "10.61.0.0/16", second.address);
      },
      fix: async () => {
        await Deno.remove(broken(third));
        await cli("route", "delete", "10.61.0.0/16");
      },
    },
    "another program removes routes": {
      alerts: [["StellarNetRouteRepairsFlapping", second]],
      cause: async () => {
        for (let i = 0; i < 8; i++) {
          await second.ip("route flush proto 83");
          await lab.waitFor(
            "the routes",
            async () => (await second.routes()).length >= 2,
          );
        }
      },
      fix: () => Promise.resolve(),
    },
  };
}

/** Faults of the path between two hosts. */
export function pathFaults({ lab, second, third }: FaultyHosts): AlertFaults {
  return {
    "a path is dead": {
      alerts: [["StellarNetPathDead", second], ["StellarNetPathDead", third]],
      cause: () => lab.partition(second, third),
      fix: () => lab.heal(),
    },
    "a path loses packets": {
      alerts: [["StellarNetPathLossy", second], ["StellarNetPathLossy", third]],
      cause: () => lab.lose(second, third, 20),
      fix: () => lab.heal(),
    },
    "a path is narrow": {
      alerts: [["StellarNetPathNarrow", second], [
        "StellarNetPathNarrow",
        third,
      ]],
      cause: () => third.narrow(1400),
      fix: () => third.narrow(),
    },
  };
}
