import assert from "node:assert/strict";
import {
  type AlertFaults,
  causeAlerts,
  pathFaults,
  prepareFaults,
  registryFaults,
  routeFaults,
} from "../lab/alert_faults.ts";
import type { LabClock } from "../lab/lab_clock.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { createWatchedLab, FAST } from "../lab/watched_lab.ts";

Deno.test("every alert of a cluster fires under its fault, and clears after the fix", async (t) => {
  let clock: LabClock | undefined;
  await using watched = await createWatchedLab({
    ...{ hosts: 3, divisor: FAST },
    prepare: async ([, , host3]) => void (clock = await prepareFaults(host3!)),
  });
  const { lab, prometheus } = watched;
  const [host1, host2, host3] = watched.hosts as [LabHost, LabHost, LabHost];
  const cli = (...args: readonly string[]) => host1.must("stellar-net", args);
  const faulty = {
    ...{ lab, registry: host1, second: host2, third: host3, clock: clock! },
    readmit: () => Promise.resolve(),
  };
  const faults: AlertFaults = {
    "the registry is down": {
      alerts: [
        ["StellarNetRegistryUnreachable", host2],
        ["StellarNetAgentDown", host1],
      ],
      cause: () => host1.agent.kill(),
      fix: () => host1.agent.start(),
    },
    ...await routeFaults(faulty),
    ...pathFaults(faulty),
    ...await registryFaults(faulty),
  };
  // Seven days are 17 seconds.
  const always = ["StellarNetBackupOld"];
  await causeAlerts(t, prometheus, { faults, always });
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
