import assert from "node:assert/strict";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import type { LabHost } from "../lab/lab_host.ts";

interface Overview {
  readonly now: string;
  readonly problems: readonly {
    readonly node: string;
    readonly code: string;
  }[];
  readonly hosts: readonly {
    readonly node: { readonly name: string; readonly state: string };
    readonly report: {
      readonly subnets: readonly { readonly held: number }[];
    } | null;
    readonly reportedAt: string | null;
  }[];
}

interface Events {
  readonly events: readonly {
    readonly kind: string;
    readonly node: string | null;
    readonly by: string | null;
  }[];
}

Deno.test("with etcd, any agent answers for all, and marks what it knows of one that is cut off", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    registries: 3,
    joiners: 0,
  });
  const { lab } = cluster;
  const [asked, other, cut] = cluster.registries as [LabHost, LabHost, LabHost];
  const overview = () => asked.ask<Overview>("cluster");
  const reportOf = async ({ name }: LabHost) =>
    (await overview()).hosts.find(({ node }) => node.name === name);
  const eventsAt = async (host: LabHost) =>
    (await host.ask<Events>("events --limit 1000")).events;
  /** The events of a kind, at every agent. */
  const countAt = async (host: LabHost, kind: string, node: string) =>
    (await eventsAt(host)).filter((event) =>
      event.kind === kind && event.node === node
    ).length;

  await t.step("each agent has the reports of all", async () => {
    await cut.ask("ip allocate web-1");
    for (const host of cluster.registries) {
      await lab.waitFor(`the reports at ${host.name}`, async () => {
        const { hosts } = await host.ask<Overview>("cluster");
        const held = hosts.map(({ node, report }) =>
          `${node.name} ${report?.subnets[0]?.held}`
        );
        return held.includes(`${cut.name} 1`) && hosts.length === 3 &&
          hosts.every(({ report }) => report !== null);
      });
    }
  });
  await t.step(
    "a change has one event, with its caller, whoever was called",
    async () => {
      await other.ask("route add 192.0.2.0/24 198.18.0.1");
      await lab.waitFor(
        "the event",
        async () =>
          (await eventsAt(asked)).some(({ kind }) => kind === "route added"),
      );
      const added = (await eventsAt(cut))
        .filter(({ kind }) => kind === "route added");
      assert.deepEqual(added.map(({ by }) => by), ["socket"]);
    },
  );
  await t.step(
    "the last report of an agent that is cut off is marked with its age",
    async () => {
      await cut.unplug();
      await lab.waitFor(
        "its silence",
        async () =>
          (await overview()).problems.some(({ node, code }) =>
            node === cut.name && code === "unreachable"
          ),
      );
      const known = await reportOf(cut);
      assert.equal(known?.node.state, "unreachable");
      assert.equal(known?.report?.subnets[0]?.held, 1);
      const { now } = await overview();
      const ageMs = Date.parse(now) - Date.parse(known!.reportedAt!);
      assert.ok(ageMs >= 10_000, `${ageMs} ms`);
      await lab.waitFor("its mark for people", async () => {
        const { stdout } = await asked.exec("stellar-net", ["cluster"]);
        return new RegExp(`^${cut.name} .*ago \\(stale\\)$`, "m").test(stdout);
      });
      // The others are as fresh as ever.
      const { stdout } = await asked.exec("stellar-net", ["cluster"]);
      assert.doesNotMatch(stdout, new RegExp(`^${other.name} .*stale`, "m"));
      const found = await asked.exec("stellar-net", [
        "find",
        "web-1",
        "--json",
      ]);
      assert.deepEqual(JSON.parse(found.stdout).silentNodes, [cut.name]);
    },
  );
  await t.step("its events arrive when it is back, once", async () => {
    await cut.plug();
    await lab.waitFor(
      "its return",
      async () => await countAt(asked, "back", cut.name) === 1,
    );
    await lab.waitFor(
      "what it noticed itself",
      async () => await countAt(asked, "registry lost", cut.name) >= 1,
    );
    assert.equal(await countAt(other, "unreachable", cut.name), 1);
    assert.equal(await countAt(cut, "back", cut.name), 1);
  });
});
