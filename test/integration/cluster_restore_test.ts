import assert from "node:assert/strict";
import { join } from "node:path";
import { type Members, settled, strangersAmong } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

/** Twice the longest back-off of a joining host. */
const SETTLE = "12s";

interface SubnetList {
  readonly subnets: readonly {
    readonly cidr: string;
    readonly state: string;
    readonly node: string | null;
  }[];
}

Deno.test("a registry that is restored from an old backup gives no subnet twice", async (t) => {
  await using lab = await Lab.create({ hosts: 6, startAgents: false });
  const [registry, second, third, fourth, away, fresh] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost, LabHost, LabHost],
  ];
  const members: Map<LabHost, readonly string[]> = new Map();
  const begin = async (host: LabHost) => {
    await host.agent.start();
    members.set(host, await host.joined());
  };
  for (const host of [registry, second, third]) await begin(host);
  const file = join(registry.dir, "backup.jsonl");
  await registry.must("stellar-net", ["backup", file]);
  await t.step("no restore beside the living registry", async () => {
    const state = join(second.dir, "beside");
    const { code, stderr } = await second.exec("stellar-net", [
      ...["restore", file, "--state", state],
    ]);
    assert.equal(code, 1, stderr);
    assert.match(
      stderr,
      /^stellar-net: Cannot restore the registry: an agent answers at http:\/\/198\.18\.0\.11:9000, .*stop that agent first/,
    );
    const left = await Array.fromAsync(Deno.readDir(state));
    assert.deepEqual(left, []);
  });
  // What the backup does not know.
  for (const host of [fourth, away]) await begin(host);
  const before: Members = new Map(members);
  await settled(before);
  const containers = await allDone(
    [second, third, fourth, away].map((host) => host.addContainer("c1")),
  );
  // Its containers run on; nobody speaks for it while the registry settles.
  await away.agent.kill();

  await registry.agent.kill();
  await Deno.remove(registry.agent.stateDir, { recursive: true });
  await t.step("the backup is restored to an empty state", async () => {
    const args = ["restore", file, "--state", registry.agent.stateDir];
    await registry.must("stellar-net", [...args, "--settle", SETTLE]);
  });
  await fresh.agent.start();
  await registry.agent.start();
  await t.step("a new host waits, and both say why", async () => {
    await lab.waitFor(
      "the reason",
      async () =>
        /^Cannot give node "host6" a subnet yet: the registry was restored/
          .test((await fresh.status()).registry.problem ?? ""),
    );
    const { warnings, problems } = await registry.ask<{
      warnings: readonly string[];
      problems: readonly { readonly code: string }[];
    }>("status");
    assert.ok(problems.some(({ code }) => code === "restore-grace"));
    assert.match(
      warnings.join("\n"),
      /the registry was restored from a backup/,
    );
  });
  await t.step("hosts come back with their addresses", async () => {
    for (const host of [second, third, fourth]) {
      assert.deepEqual(await host.joined(), before.get(host));
    }
  });
  await t.step("the subnet of one that is away is kept for it", async () => {
    const { subnets } = await registry.ask<SubnetList>("subnet list");
    const kept = subnets.filter(({ node }) => node === away.name);
    assert.deepEqual(
      kept.map(({ cidr, state }) => `${cidr} ${state}`),
      before.get(away)!.map((cidr) => `${cidr} reserved`),
    );
  });
  await t.step("the new host gets a subnet that is nobody's", async () => {
    const given = await fresh.joined();
    const taken = [...before.values()].flat();
    assert.deepEqual(given.filter((cidr) => taken.includes(cidr)), []);
    members.set(fresh, given);
  });
  await t.step("the one that was away has its own again", async () => {
    await away.agent.start();
    assert.deepEqual(await away.joined(), before.get(away));
    const { subnets } = await registry.ask<SubnetList>("subnet list");
    const owners = subnets.map(({ cidr, state, node }) => [cidr, state, node]);
    assert.deepEqual(
      owners,
      [...members].flatMap(([host, cidrs]) =>
        cidrs.map((cidr) => [cidr, "owned", host.name])
      ),
    );
  });
  await t.step("every container reaches every other", async () => {
    await settled(members);
    const all = [...containers, await fresh.addContainer("c1")];
    assert.deepEqual(await strangersAmong(all), []);
  });
});
