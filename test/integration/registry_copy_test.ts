import assert from "node:assert/strict";
import { join } from "node:path";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { statusWarnings } from "../lab/reclaims.ts";
import { must } from "../support/cni_plugin.ts";

const TIMEOUT_MS = 120_000;

interface SubnetList {
  readonly subnets: readonly {
    readonly cidr: string;
    readonly state: string;
    readonly node: string | null;
  }[];
}

/** Waits until a registry that is an old copy has been told so. */
async function isRevealed(lab: Lab, registry: LabHost): Promise<void> {
  await lab.waitFor(
    "the registry to see what it is",
    async () =>
      /the registry was restored/.test(
        (await statusWarnings(registry)).join("\n"),
      ),
    { timeoutMs: TIMEOUT_MS },
  );
}

/** Waits until a new host says that it has to wait for the grace period. */
async function waitsForGrace(lab: Lab, fresh: LabHost): Promise<void> {
  await lab.waitFor(
    "the reason why a new host waits",
    async () =>
      /^Cannot give node "\w+" a subnet yet: the registry was restored/.test(
        (await fresh.status()).registry.problem ?? "",
      ),
    { timeoutMs: TIMEOUT_MS },
  );
}

/** Asserts that a registry which is an old copy keeps the subnets of a host that is away. */
async function keepsSubnets(
  lab: Lab,
  { registry, fresh, away, subnets }: {
    readonly registry: LabHost;
    /** New to the registry. */
    readonly fresh: LabHost;
    /** Unknown to the copy, and not running. */
    readonly away: LabHost;
    readonly subnets: readonly string[];
  },
): Promise<void> {
  await isRevealed(lab, registry);
  await fresh.agent.start();
  await waitsForGrace(lab, fresh);
  const ownersOf = async (cidrs: readonly string[]) => {
    const { subnets } = await registry.ask<SubnetList>("subnet list");
    return subnets.filter(({ cidr }) => cidrs.includes(cidr))
      .map(({ state, node }) => `${state} ${node}`);
  };
  assert.deepEqual(
    await ownersOf(subnets),
    subnets.map(() => `reserved ${away.name}`),
  );
  await away.agent.start();
  assert.deepEqual(await away.joined(), subnets);
  assert.deepEqual(
    await ownersOf(subnets),
    subnets.map(() => `owned ${away.name}`),
  );
}

Deno.test("a registry restored from a copy of its folder keeps the subnet of a member that is off", async () => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [registry, second, away, fresh] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  for (const host of [registry, second]) {
    await host.agent.start();
    await host.joined();
  }
  const { stateDir } = registry.agent;
  const copy = join(registry.dir, "copy");
  await registry.agent.stop();
  await must("cp", ["-a", stateDir, copy]);
  await registry.agent.start();
  await away.agent.start();
  const subnets = await away.joined();
  await lab.waitFor(
    "the second host to see it",
    async () =>
      (await second.routes()).some((line) => line.startsWith(subnets[0]!)),
  );
  const putBack = async () => {
    await registry.agent.kill();
    await Deno.remove(stateDir, { recursive: true });
    await must("cp", ["-a", copy, stateDir]);
    await registry.agent.start();
  };

  // As late as can be: a new host is the first that comes.
  const late = [second, away];
  for (const { agent } of late) Deno.kill(agent.pid, "SIGSTOP");
  await putBack();
  fresh.agent.spawn();
  await lab.waitFor(
    "the new host to wait for the one that the copy knows",
    async () =>
      /waits for a subnet: .*have to join first/.test(
        await registry.agent.log(),
      ),
  );
  for (const { agent } of late) Deno.kill(agent.pid, "SIGCONT");
  await isRevealed(lab, registry);
  await waitsForGrace(lab, fresh);
  assert.deepEqual(await away.joined(), subnets);

  await fresh.agent.kill();
  await away.agent.kill();
  await putBack();
  await keepsSubnets(lab, { registry, fresh, away, subnets });
});

Deno.test("a registry in an etcd restored from an old snapshot keeps the subnet of a member that is off", async () => {
  await using cluster = await EtcdRegistryLab.create({ registries: 2 });
  const { lab, etcd, registries, joiners } = cluster;
  const [registry] = registries as [LabHost];
  const [, away] = joiners as [LabHost, LabHost];
  // On a host of one of etcd's members.
  const fresh = lab.hosts.at(-1)!;
  await away.must("stellar-net", ["node", "leave", "--force"]);
  const snapshot = join(registry.dir, "snapshot.db");
  await etcd.members[0]!.ctl(["snapshot", "save", snapshot]);
  await away.agent.restart();
  const subnets = await away.joined();
  await cluster.agreed();
  await away.agent.kill();

  for (const member of etcd.members) await member.kill();
  await etcd.restore(snapshot);
  for (const { agent } of registries) await agent.restart();
  await keepsSubnets(lab, { registry, fresh, away, subnets });
});
