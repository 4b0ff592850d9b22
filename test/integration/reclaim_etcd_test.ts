import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import {
  namesAt,
  removalEvents,
  statusWarnings,
  staysFor,
} from "../lab/reclaims.ts";

// Slow with a reason: --reclaim-after takes no less than a minute.
Deno.test("with etcd, neither the loss of a registry's host nor that of the quorum removes a living node", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    ...{ registries: 2, joiners: 2 },
    registryArgs: ["--reclaim-after", "1m"],
  });
  const { etcd, registries: [left, killed] } = cluster;
  const all = cluster.hosts.map(({ name }) => name);
  const living = all.filter((name) => name !== killed!.name);
  /** Checks that no living node is gone. The dead one goes at last. */
  const livingStay = async () => {
    const names = await namesAt(left!);
    assert.deepEqual(names.filter((name) => living.includes(name)), living);
  };

  await t.step("one of two hosts of the registry is killed", async () => {
    // Long after the join: the time since then is not silence.
    await delay(20_000);
    await killed!.agent.kill();
    await cluster.lab.waitFor(
      "the announcement",
      async () =>
        /^node "host2" is silent, and is removed in \d+ s unless it comes back$/m
          .test((await statusWarnings(left!)).join("\n")),
      { everyMs: 500 },
    );
    assert.deepEqual(await namesAt(left!), all);
  });
  await t.step("etcd is without its quorum for 70 s", async () => {
    const [one, two] = etcd.members;
    await one!.kill();
    await two!.kill();
    await delay(70_000);
    one!.start();
    two!.start();
    await etcd.ready();
    await cluster.lab.waitFor(
      "the registry",
      async () => (await namesAt(left!)).length > 0,
      { everyMs: 250 },
    );
    await staysFor(20_000, livingStay);
  });
  await t.step(
    "the dead node is removed in the end, and no other",
    async () => {
      await cluster.lab.waitFor(
        "the removal",
        async () => (await namesAt(left!)).join() === living.join(),
        { everyMs: 500 },
      );
      await cluster.lab.waitFor(
        "the events",
        async () => {
          const texts = await removalEvents(left!, killed!.name);
          return /^host2 is removed: .*\n[^]*in \d+ s unless it comes back$/m
            .test(texts.join("\n"));
        },
        { everyMs: 500 },
      );
    },
  );
});
