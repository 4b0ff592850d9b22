import assert from "node:assert/strict";
import { type Members, routesOf, settled } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { pidsIn } from "../lab/netns.ts";
import { allDone } from "../support/all_done.ts";

const HOSTS = 8;

/** What `node list` tells, as far as it is used. */
interface NodeList {
  readonly nodes: readonly {
    readonly name: string;
    readonly state: string;
    readonly subnets: readonly string[];
  }[];
}

/** The state of each node, by name. */
async function statesAt(host: LabHost): Promise<Record<string, string>> {
  const { nodes } = await host.ask<NodeList>("node list");
  return Object.fromEntries(nodes.map(({ name, state }) => [name, state]));
}

/** Waits until a host lists another in a state, or not at all. */
async function lists(
  lab: Lab,
  at: LabHost,
  other: { readonly name: string; readonly state: string | undefined },
): Promise<void> {
  const { name, state } = other;
  await lab.waitFor(
    `${at.name} to list ${name} as ${state}`,
    async () => (await statesAt(at))[name] === state,
    { everyMs: 200 },
  );
}

Deno.test("eight hosts that join at once are one cluster, which they leave and come back to", async (t) => {
  await using lab = await Lab.create({ hosts: HOSTS, startAgents: false });
  const members = new Map<LabHost, readonly string[]>();
  const without = (...gone: LabHost[]): Members =>
    new Map([...members].filter(([host]) => !gone.includes(host)));
  const [registry, leaver, victim, witness] = lab.hosts;

  await t.step("each has a subnet of its own", async () => {
    await allDone(lab.hosts.map(({ agent }) => agent.start()));
    for (const host of lab.hosts) members.set(host, await host.joined());
    const subnets = [...members.values()].flat();
    assert.equal(new Set(subnets).size, HOSTS, `${subnets}`);
    assert.deepEqual(
      subnets.toSorted(),
      Array.from({ length: HOSTS }, (_, n) => `172.16.${n * 4}.0/22`)
        .toSorted(),
    );
  });
  await t.step("each kernel has the routes to all others", async () => {
    await settled(members);
  });

  await t.step("one is killed: nothing of it goes on", async () => {
    await victim!.agent.kill();
    // What listens to the kernel for it would hold its socket.
    await lab.waitFor(
      "the end of its processes",
      async () => (await pidsIn([victim!.netns])).length === 0,
    );
  });
  await t.step(
    "one leaves: its routes go everywhere, and its own",
    async () => {
      const left = await leaver!.must("stellar-net", ["node", "leave"]);
      assert.match(left, /^Left the cluster: 172\.16\.\d+\.0\/22 can be/);
      const rest = without(leaver!, victim!);
      await settled(without(leaver!), rest.keys());
      await lab.waitFor(
        "the leaver to have no routes",
        async () => (await leaver!.routes()).length === 0,
      );
      await lists(lab, witness!, { name: leaver!.name, state: undefined });
    },
  );
  await t.step("it is started again: the same subnet, and routes", async () => {
    await leaver!.agent.restart();
    assert.deepEqual(await leaver!.joined(), members.get(leaver!));
    await settled(members, without(victim!).keys());
  });
  await t.step(
    "the killed one is unreachable, and its routes stay",
    async () => {
      for (const host of [registry!, witness!]) {
        await lists(lab, host, { name: victim!.name, state: "unreachable" });
      }
      await settled(members, lab.hosts);
      assert.deepEqual(await victim!.routes(), routesOf(victim!, members));
    },
  );
  await t.step("it comes back: the same subnet, and ready", async () => {
    await victim!.agent.start();
    assert.deepEqual(await victim!.joined(), members.get(victim!));
    for (const host of [registry!, witness!, victim!]) {
      await lists(lab, host, { name: victim!.name, state: "ready" });
    }
    await settled(members);
  });
  await t.step("the registry's own node leaves, and comes back", async () => {
    const { agent } = registry!;
    await registry!.must("stellar-net", ["node", "leave"]);
    const rest = without(registry!);
    await settled(rest);
    await lab.waitFor(
      "the registry's host to have no routes",
      async () => (await registry!.routes()).length === 0,
    );
    await agent.restart();
    assert.deepEqual(await registry!.joined(), members.get(registry!));
    await settled(members);
  });
});
