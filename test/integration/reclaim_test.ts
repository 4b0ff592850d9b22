import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { settled, startInOrder } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import {
  namesAt,
  removalEvents,
  statusWarnings,
  staysFor,
} from "../lab/reclaims.ts";

// Slow with a reason: --reclaim-after takes no less than a minute.
Deno.test("a registry that was stopped for longer than --reclaim-after removes no living node, and then a dead one", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [registry, living, dead] = lab.hosts;
  const { agent } = registry!;
  agent.flags = [...agent.flags, "--reclaim-after", "1m"];
  const members = await startInOrder(lab);
  const all = ["host1", "host2", "host3"];

  await t.step("it is stopped for 68 s, as a paused machine", async () => {
    Deno.kill(agent.pid, "SIGSTOP");
    await delay(68_000);
    Deno.kill(agent.pid, "SIGCONT");
    await staysFor(
      10_000,
      async () => assert.deepEqual(await namesAt(registry!), all),
    );
    await settled(members);
  });
  await t.step(
    "status, log and events announce the removal of a dead node",
    async () => {
      await dead!.agent.kill();
      await lab.waitFor(
        "the announcement",
        async () =>
          /^node "host3" is silent, and is removed in \d+ s unless it comes back$/m
            .test((await statusWarnings(registry!)).join("\n")),
        { everyMs: 500 },
      );
      assert.deepEqual(await namesAt(registry!), all);
      assert.match(
        await agent.log(),
        /Node host3 is removed in \d+ s unless it comes back/,
      );
      await lab.waitFor(
        "the event",
        async () =>
          /^host3 is removed in \d+ s unless it comes back$/m
            .test((await removalEvents(living!, "host3")).join("\n")),
        { everyMs: 500 },
      );
    },
  );
  await t.step("it removes the dead node, and no other", async () => {
    await lab.waitFor(
      "the removal",
      async () => (await namesAt(registry!)).join() === "host1,host2",
      { everyMs: 500 },
    );
    const left = [...members].filter(([host]) => host !== dead);
    await settled(new Map(left), [registry!, living!]);
  });
});
