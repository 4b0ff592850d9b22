import assert from "node:assert/strict";
import { join } from "node:path";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { History } from "../lab/history.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { listRegistry } from "../lab/registry_load.ts";
import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";

/** What `status` tells of the registry. */
interface Link {
  readonly registry: { readonly problem: string | null };
}

Deno.test("after all members of etcd are lost and restored from a snapshot, agents keep their subnets", async (t) => {
  await using cluster = await EtcdRegistryLab.create();
  const { etcd, hosts, registries, joiners } = cluster;
  const [first] = registries as [LabHost];
  const [, late] = joiners as [LabHost, LabHost];
  const history = new History(cluster.lab, { hosts });
  const snapshot = join(first.dir, "snapshot.db");
  const before = await cluster.agreed();
  for (const host of hosts) await history.allocate(host, host.name);

  await t.step("a snapshot is taken, and the cluster changes", async () => {
    await first.must("stellar-net", [
      ...["route", "add", "10.98.0.0/16", "198.18.0.250"],
    ]);
    await late.must("stellar-net", ["node", "leave", "--force"]);
    await etcd.members[0]!.ctl(["snapshot", "save", snapshot]);
    await first.must("stellar-net", [
      ...["route", "add", "10.99.0.0/16", "198.18.0.250"],
    ]);
    await late.agent.restart();
    await late.joined();
    history.forget(late.name);
    await history.allocate(late, late.name);
    assert.deepEqual((await cluster.agreed()).nodes, before.nodes);
  });
  await t.step("all members are lost: addresses and routes stay", async () => {
    const routes = await allDone(hosts.map((host) => host.routes()));
    for (const member of etcd.members) await member.kill();
    for (const host of hosts) await history.allocate(host, host.name);
    await etcd.restore(snapshot);
    assert.deepEqual(
      await allDone(hosts.map((host) => host.routes())),
      routes,
    );
  });
  await t.step(
    "the agents that host the registry say what to do",
    () =>
      allDone(registries.map(async (host) => {
        await waitFor(
          `${host.name} to say so`,
          async () =>
            (await host.ask<Link>("status")).registry.problem?.includes(
              "after etcd was restored from a backup restart the agents",
            ),
          { everyMs: 100 },
        );
      })).then(() => {}),
  );
  await t.step(
    "after a restart, all have their addresses and routes",
    async () => {
      const startedMs = performance.now();
      for (const { agent } of registries) await agent.restart();
      await waitFor(
        "all nodes",
        async () => (await listRegistry(first)).nodes.size === hosts.length,
        { everyMs: 100 },
      );
      const { nodes, routes } = await cluster.agreed();
      const tookMs = Math.round(performance.now() - startedMs);
      console.log(`  all agree ${tookMs} ms after the first restart`);
      assert.deepEqual(nodes, before.nodes);
      // What came after the snapshot, and no host remembers.
      assert.deepEqual([...routes.keys()], ["10.98.0.0/16"]);
      for (const host of hosts) {
        const held = await history.heldOn(host, host.name);
        assert.deepEqual(held, history.promised.get(host.name));
      }
    },
  );
});
