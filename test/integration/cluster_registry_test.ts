import assert from "node:assert/strict";
import {
  type Members,
  routesOf,
  settled,
  startInOrder,
} from "../lab/cluster.ts";
import { clusterFlags, Lab, labUrl } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { callPlugin } from "../lab/plugin_call.ts";
import { allDone } from "../support/all_done.ts";
import { run } from "../support/run.ts";

/** What `status` tells of the registry. */
interface Link {
  readonly registry: {
    readonly state: string;
    readonly since: string;
    readonly problem: string | null;
    readonly url: string | null;
  };
}

/** The times up to which a host's lists know the cluster; undefined where the list is current. */
async function knownUpTo(host: LabHost): Promise<(string | undefined)[]> {
  return await allDone(
    ["ListNetworks", "ListNodes", "ListRoutes"].map(async (call) => {
      const { stdout } = await run("curl", [
        ...["--silent", "--fail", "--unix-socket", host.agent.socketPath],
        ...["--json", "{}"],
        `http://localhost/stellar.net.v1.RegistryService/${call}`,
      ]);
      return (JSON.parse(stdout) as { readonly asOf?: string }).asOf;
    }),
  );
}

async function linkOf(host: LabHost): Promise<Link["registry"]> {
  return (await host.ask<Link>("status")).registry;
}

/** Waits until it stands so between a host and the registry, and returns how long that took, in ms. */
async function becomes(
  lab: Lab,
  host: LabHost,
  state: string,
): Promise<number> {
  const start = performance.now();
  await lab.waitFor(
    `${host.name} to be ${state}`,
    async () => (await linkOf(host)).state === state,
    { everyMs: 100 },
  );
  return Math.round(performance.now() - start);
}

/** Waits until hosts have the routes to the others, and an extra one unless it leads to themselves. */
async function haveRoutes(
  lab: Lab,
  members: Members,
  extra: { readonly cidr: string; readonly to: LabHost },
  hosts: Iterable<LabHost> = members.keys(),
): Promise<void> {
  const { cidr, to } = extra;
  await allDone([...hosts].map(async (host) => {
    const more = host === to ? [] : [`${cidr} via ${to.address}`];
    const wanted = [...routesOf(host, members), ...more].sort().join("\n");
    await lab.waitFor(
      `${host.name} to have the routes\n${wanted}\n`,
      async () => (await host.routes()).join("\n") === wanted,
    );
  }));
}

Deno.test("the registry's host is cut off: the others go on without it, and all comes right by itself", async (t) => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [registry, second, third, late] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const cli = (host: LabHost, words: string) =>
    host.exec("stellar-net", words.split(" "));
  const started = [registry, second, third];
  const members: Map<LabHost, readonly string[]> = new Map();
  for (const host of started) {
    await host.agent.start();
    members.set(host, await host.joined());
  }
  await settled(members);
  const [from, to] = await Promise.all(
    [second, third].map((host) => host.addContainer("c1")),
  );
  await second.must("stellar-net", [
    ...["route", "add", "10.98.0.0/16", third.address],
  ]);
  const before = { cidr: "10.98.0.0/16", to: third };
  const after = { cidr: "10.99.0.0/16", to: third };
  await haveRoutes(lab, members, before);
  const pinger = from!.startPing(to!.address);
  const current = [undefined, undefined, undefined];
  assert.deepEqual(await knownUpTo(second), current);
  const readAt = Date.now();
  await registry.unplug();
  const cutAt = Date.now();

  await t.step(
    "status says that it is unreachable, and since when",
    async () => {
      const took = await allDone(
        [second, third].map((host) => becomes(lab, host, "unreachable")),
      );
      console.log(`  noticed after ${took.join(" and ")} ms`);
      const { since, problem } = await linkOf(second);
      assert.ok(Date.parse(since) >= readAt - 1, `${since} is before the cut`);
      assert.notEqual(problem, "");
      const { stdout } = await cli(second, "status");
      assert.match(stdout, /unreachable/);
    },
  );
  await t.step("lists say up to when they know the cluster", async () => {
    const times = await knownUpTo(second);
    assert.equal(new Set(times).size, 1);
    const at = Date.parse(times[0]!);
    // A heartbeat that was answered last may be a few seconds older than the cut.
    assert.ok(at > readAt - 60_000 && at <= cutAt, `${times[0]}`);
  });
  await t.step("addresses are given out all the same", async () => {
    await allDone([second, third].map((host) => host.addContainer("c2")));
  });
  await t.step("agents restart from their own state", async () => {
    await second.agent.kill();
    await second.agent.start();
    await third.agent.restart();
    for (const host of [second, third]) {
      assert.deepEqual(
        (await host.status()).subnets.map(({ cidr }) => cidr),
        members.get(host),
      );
      assert.equal((await linkOf(host)).state, "unreachable");
      await host.addContainer("c3");
    }
    await haveRoutes(lab, members, before, [second, third]);
    assert.ok(
      await second.container("c3").ping(third.container("c3").address),
    );
    assert.ok(await third.ping(second.container("c2").address));
  });
  await t.step(
    "changes of the cluster are refused until it is back",
    async () => {
      const { code, stderr } = await cli(
        second,
        "route add 10.97.0.0/16 198.18.0.13",
      );
      assert.equal(code, 1);
      assert.match(
        stderr,
        /Cannot reach the registry at http:\/\/198\.18\.0\.11/,
      );
    },
  );
  await t.step("a new host waits", async () => {
    await late.agent.start();
    const { subnets } = await late.status();
    assert.deepEqual(subnets, []);
    const [exit, code, message] = await callPlugin(late, "ADD");
    assert.deepEqual([exit, code], [1, 11], message);
    assert.match(message, /the registry has been unreachable since /);
  });
  await t.step("at the registry, nodes go on too", async () => {
    await registry.agent.restart();
    await registry.must("stellar-net", ["route", "delete", "10.98.0.0/16"]);
    await registry.must("stellar-net", [
      ...["route", "add", "10.99.0.0/16", third.address],
    ]);
    await registry.addContainer("c1");
  });

  await registry.plug();
  const start = performance.now();
  await t.step("all comes right by itself", async () => {
    members.set(late, await late.joined());
    await allDone(
      [second, third].map((host) => becomes(lab, host, "joined")),
    );
    await haveRoutes(lab, members, after);
    console.log(`  right after ${Math.round(performance.now() - start)} ms`);
    assert.equal((await linkOf(second)).problem, null);
    assert.deepEqual(await knownUpTo(second), current);
    await late.addContainer("c1");
    assert.ok(
      await late.container("c1").ping(registry.container("c1").address),
    );
    assert.ok(
      await second.container("c2").ping(late.container("c1").address),
    );
  });
  await t.step("no packet between the others was lost", async () => {
    const { sent, lost } = await pinger.stop();
    assert.ok(sent > 100, `only ${sent} were sent`);
    assert.equal(lost, 0);
  });
});

Deno.test("a host that joins by several URLs takes the one that leads to the registry", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [registry, member, fresh] = lab.hosts as [LabHost, LabHost, LabHost];
  const members = new Map(
    await startInOrder({ hosts: [registry, member] } as unknown as Lab),
  );
  const flags = clusterFlags(fresh).slice(0, -2);
  const dead = "http://198.18.0.99:9000";
  await t.step("one that has only joined itself says where it is", async () => {
    fresh.agent.flags = [...flags, "--join", dead, "--join", labUrl(2)];
    await fresh.agent.start();
    await lab.waitFor(
      "the way out",
      async () =>
        (await linkOf(fresh)).problem ===
          'Cannot join through node "host2": it hosts no registry; ' +
            `name ${labUrl(1)} with --join`,
    );
    assert.deepEqual((await fresh.status()).subnets, []);
    const { nodes } = await registry.ask<{ nodes: unknown[] }>("node list");
    assert.equal(nodes.length, 2);
  });
  await t.step(
    "the one that hosts it takes it in, whatever the others say",
    async () => {
      await fresh.agent.stop();
      fresh.agent.flags = [
        ...flags,
        ...[dead, labUrl(2), labUrl(1)].flatMap((url) => ["--join", url]),
      ];
      await fresh.agent.start();
      members.set(fresh, await fresh.joined());
      assert.equal((await linkOf(fresh)).url, labUrl(1));
      await settled(members);
    },
  );
  await t.step(
    "two that join each other say so, and not ever more",
    async () => {
      await allDone([member.agent.stop(), fresh.agent.stop()]);
      member.agent.flags = [
        ...clusterFlags(member).slice(0, -2),
        ...["--join", labUrl(3)],
      ];
      fresh.agent.flags = [...flags, "--join", labUrl(2)];
      await allDone([member.agent.start(), fresh.agent.start()]);
      for (
        const [host, other] of [[member, "host3"], [fresh, "host2"]] as const
      ) {
        await lab.waitFor(
          "a problem that is told once",
          async () =>
            (await linkOf(host)).problem?.startsWith(
              `Cannot join through node "${other}": it hosts no registry; name the agent that does`,
            ),
        );
      }
      await settled(members);
      await member.addContainer("c1");
    },
  );
});
