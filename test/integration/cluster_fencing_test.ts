import assert from "node:assert/strict";
import { settled } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { callPlugin } from "../lab/plugin_call.ts";

/** What `status` tells, as far as it is used. */
interface Status {
  readonly instanceId: string;
  readonly subnets: readonly { readonly cidr: string }[];
  readonly registry: { readonly state: string; readonly problem: string };
}

/** A row of `node list`. */
interface ListedNode {
  readonly name: string;
  readonly problem: string | null;
}

/** Waits until a host's agent says that it is fenced, and why. */
async function isFenced(
  lab: Lab,
  host: LabHost,
  why: RegExp,
): Promise<Status> {
  let status: Status | undefined;
  await lab.waitFor(`${host.name} to be fenced`, async () => {
    status = await host.ask<Status>("status");
    const { state, problem } = status.registry;
    return state === "fenced" && why.test(problem);
  });
  return status!;
}

async function cli(host: LabHost, ...args: string[]): Promise<string> {
  return await host.must("stellar-net", args);
}

Deno.test("a host that comes back after its subnet went to another is fenced, until it leaves", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [registry, back, heir] = lab.hosts as [LabHost, LabHost, LabHost];
  const members = new Map<LabHost, readonly string[]>();
  for (const host of [registry, back]) {
    await host.agent.start();
    members.set(host, await host.joined());
  }
  const [subnet] = members.get(back)!;
  const { netns } = await back.addContainer("c1");
  await back.agent.stop();
  await t.step("its subnet goes to another", async () => {
    const { code, stderr } = await registry.exec("stellar-net", [
      ...["node", "remove", back.name],
    ]);
    assert.deepEqual([code, /it is alive/.test(stderr)], [1, true], stderr);
    await cli(registry, "node", "remove", back.name, "--force");
    await cli(registry, "subnet", "reserve", subnet!, "--node", heir.name);
    await heir.agent.start();
    members.delete(back);
    members.set(heir, await heir.joined());
    assert.deepEqual(members.get(heir), [subnet]);
    await settled(members);
  });
  const why = new RegExp(
    `Cannot join with the subnet ${subnet}: it belongs to node "host3" now; node "host2" is fenced`,
  );
  await t.step("it comes back and is fenced", async () => {
    await back.agent.start();
    const { subnets } = await isFenced(lab, back, why);
    assert.deepEqual(subnets.map(({ cidr }) => cidr), [subnet]);
    assert.match(
      await cli(back, "status"),
      /FENCED since .*belongs to node "host3"/,
    );
  });
  await t.step(
    "every place names the cause, the time and the way out",
    async () => {
      const cause =
        `the registry has fenced this node since \\d{4}-\\d\\d-\\d\\d \\S+Z: ${why.source}`;
      const wayOut =
        'stop its containers, run "stellar-net node leave --force"';
      const told = new RegExp(`${cause}.*${wayOut}`, "s");
      const status = await cli(back, "status");
      assert.match(status, /^\d problems? on node host2: \d errors?, /);
      assert.match(status, told);
      const doctor = await back.exec("stellar-net", ["doctor"]);
      assert.equal(doctor.code, 1);
      assert.match(doctor.stdout, told);
      assert.match((await callPlugin(back, "ADD"))[2], told);
      const ready = await back.exec("curl", [
        ...["-s", "--unix-socket", back.agent.socketPath],
        "http://localhost/readyz",
      ]);
      const { checks } = JSON.parse(ready.stdout) as {
        readonly checks: readonly { readonly reason: string }[];
      };
      assert.ok(checks.some(({ reason }) => told.test(reason)), ready.stdout);
      const list = await back.exec("stellar-net", ["node", "list"]);
      assert.match(list.stderr, told);
      for (const other of [registry, heir]) {
        const { nodes } = await other.ask<{ nodes: readonly ListedNode[] }>(
          "node list",
        );
        const listed = nodes.find(({ name }) => name === back.name);
        assert.match(
          listed?.problem ?? "",
          new RegExp(
            `^the registry has fenced it since \\d{4}-\\d\\d-\\d\\d \\S+Z: ${why.source}: stop its containers, `,
          ),
          other.name,
        );
      }
    },
  );
  for (const verb of ["ADD", "STATUS"]) {
    await t.step(`it refuses ${verb} with code 50`, async () => {
      const [exit, code, message] = await callPlugin(back, verb);
      assert.deepEqual([exit, code], [1, 50], message);
      assert.match(message, why);
    });
  }
  await t.step("after a restart too, with no registry in reach", async () => {
    await registry.unplug();
    await back.agent.restart();
    await isFenced(lab, back, why);
    assert.deepEqual((await callPlugin(back, "ADD")).slice(0, 2), [1, 50]);
    const { code, stderr } = await back.exec("stellar-net", ["subnet", "list"]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Cannot reach the registry at http:\/\/198\.18\.0\.11/,
    );
    await registry.plug();
  });
  await t.step("what it gave is held, and can be released", async () => {
    const { allocations } = await back.ask<{ allocations: unknown[] }>(
      "ip list",
    );
    assert.equal(allocations.length, 1);
    await cli(back, "ip", "release", netns, "--network-name", "stellar");
    const { allocations: left } = await back.ask<{ allocations: unknown[] }>(
      "ip list",
    );
    assert.deepEqual(left, []);
    await back.removeContainer("c1");
  });
  await t.step("it leaves, starts again and gets a new subnet", async () => {
    // What the bridge plugin has made is in the way of the route to the heir.
    await back.ip("link delete stellar0");
    await cli(back, "node", "leave", "--force");
    await back.agent.restart();
    members.set(back, await back.joined());
    assert.notDeepEqual(members.get(back), [subnet]);
    await settled(members);
    const [near, far] = await Promise.all(
      [back, heir].map((host) => host.addContainer("c2")),
    );
    assert.ok(await near!.ping(far!.address));
  });
});

Deno.test("two hosts with one name: the second is refused, and takes over when the first is removed", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [registry, first, second] = lab.hosts as [LabHost, LabHost, LabHost];
  for (const host of [registry, first]) {
    await host.agent.start();
    await host.joined();
  }
  const [subnet] = await first.joined();
  second.agent.flags = [...second.agent.flags, "--node", first.name];
  const why =
    /Cannot join as "host2": another host with that name is known; give this one another --node, or .*"stellar-net node remove host2"/;
  await t.step("the second is refused, with the way out", async () => {
    await second.agent.start();
    const { subnets } = await isFenced(lab, second, why);
    assert.deepEqual(subnets, []);
    const [exit, code, message] = await callPlugin(second, "ADD");
    assert.deepEqual([exit, code], [1, 50], message);
    assert.match(message, why);
  });
  await t.step("the first goes on", async () => {
    assert.deepEqual(await first.joined(), [subnet]);
    await first.addContainer("c1");
  });
  await t.step(
    "it takes over by itself once the first is removed",
    async () => {
      await first.agent.kill();
      await cli(registry, "node", "remove", first.name, "--force");
      assert.deepEqual(await second.joined(), [subnet]);
      await settled(
        new Map([[registry, await registry.joined()], [second, [subnet!]]]),
        [registry],
      );
    },
  );
  await t.step("the first is fenced when it comes back", async () => {
    await first.agent.start();
    await isFenced(lab, first, why);
    assert.deepEqual((await callPlugin(first, "STATUS")).slice(0, 2), [1, 50]);
    assert.deepEqual(await second.joined(), [subnet]);
  });
});
