import assert from "node:assert/strict";
import { KeepAlives, RunningClock } from "../../src/addresses/keep_alives.ts";
import type { Allocation } from "../../src/addresses/plan/allocation.ts";
import { allocate, held, request, startAgent } from "../agent/agents.ts";
import { owner } from "./plan/pools.ts";

function mortal(id: string, more: Partial<Allocation> = {}): Allocation {
  return {
    id,
    owner: owner("c"),
    addresses: [],
    allocatedAtMs: 0,
    requested: false,
    ttlMs: 5_000,
    ...more,
  };
}

/** A clock that passes in steps that all count. */
function createClock() {
  let uptimeMs = 0;
  const clock = new RunningClock(() => uptimeMs);
  return {
    nowMs: () => clock.nowMs(),
    /** Time that passes while the process runs. */
    run(ms: number) {
      for (let left = ms; left > 0; left -= 1_000) {
        uptimeMs += Math.min(left, 1_000);
        clock.nowMs();
      }
    },
    /** Time that passes while the process does not run. */
    pause(ms: number) {
      uptimeMs += ms;
    },
  };
}

Deno.test("KeepAlives.ended() returns an allocation a time to live after its last sign, never before", () => {
  const clock = createClock();
  const signs = new KeepAlives(clock.nowMs);
  const allocation = mortal("1");
  const ended = () => signs.ended([allocation]).length;
  // After a restart it is seen for the first time.
  assert.equal(ended(), 0);
  clock.run(4_999);
  assert.equal(ended(), 0);
  assert.equal(signs.leftMs(allocation), 1);
  signs.touch(allocation);
  clock.run(4_999);
  assert.equal(ended(), 0);
  clock.run(1);
  assert.equal(ended(), 1);
  assert.equal(signs.leftMs(allocation), 0);
});

Deno.test("KeepAlives.ended() does not count the time in which the process did not run", () => {
  const clock = createClock();
  const signs = new KeepAlives(clock.nowMs);
  const allocation = mortal("1");
  signs.touch(allocation);
  clock.pause(3_600_000);
  assert.deepEqual(signs.ended([allocation]), []);
  // Two seconds of the pause count at most.
  clock.run(3_000);
  assert.deepEqual(signs.ended([allocation]), [allocation]);
});

Deno.test("KeepAlives.ended() starts the time again for another allocation, and for a sign that another agent got", () => {
  const clock = createClock();
  const signs = new KeepAlives(clock.nowMs);
  signs.touch(mortal("1"));
  clock.run(6_000);
  assert.equal(signs.ended([mortal("2")]).length, 0);
  clock.run(6_000);
  assert.equal(signs.ended([mortal("2", { renewals: 1 })]).length, 0);
  assert.equal(signs.ended([mortal("2", { renewals: 1 })]).length, 0);
  clock.run(6_000);
  assert.equal(signs.ended([mortal("2", { renewals: 1 })]).length, 1);
  const { ttlMs: _, ...endless } = mortal("3");
  signs.touch(endless);
  clock.run(6_000);
  assert.equal(signs.ended([endless]).length, 0);
  assert.equal(signs.leftMs(endless), undefined);
});

/** Lets an agent run for a while, which looks every second. */
async function run(
  t: Awaited<ReturnType<typeof startAgent>>,
  agents: readonly typeof t.agent[],
  ms: number,
): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    t.clock.nowMs += Math.min(left, 1_000);
    for (const agent of agents) await agent.addresses.expire("own");
  }
}

Deno.test("an allocation expires without a keep-alive, and survives with one, also over a restart", async (t) => {
  await using started = await startAgent();
  const { agent } = started;
  const mortals = ["kept", "renewed", "silent"];
  for (const id of mortals) {
    await agent.addresses.allocate("a", { ...request(id), ttlMs: 10_000 });
  }
  await allocate(agent, "endless");
  await run(started, [agent], 9_000);
  assert.deepEqual(Object.keys(await held(agent)), [...mortals, "endless"]);
  const [kept, gone, other] = await agent.addresses.keepAlive("a", [
    { owner: owner("kept") },
    { owner: owner("nobody") },
    { owner: owner("silent"), id: "another" },
  ]);
  assert.equal(kept?.owner.containerId, "kept");
  assert.deepEqual([gone, other], [undefined, undefined]);
  // Asking again is a sign too, and changes nothing.
  const { commits } = started.store;
  await allocate(agent, "renewed");
  assert.equal(started.store.commits, commits);
  await run(started, [agent], 2_000);
  assert.deepEqual(Object.keys(await held(agent)), [
    ...["kept", "renewed", "endless"],
  ]);
  await t.step("the history says why", async () => {
    const [record] = await agent.addresses.history({
      ...{ node: "a", limit: 1, containerId: "silent" },
    });
    assert.match(record!.reason, /time to live ended/);
  });
  await t.step("a restart starts the count again", async () => {
    await run(started, [agent], 7_000);
    const restarted = await started.restart();
    await run(started, [restarted], 9_000);
    assert.equal(Object.keys(await held(restarted)).length, 3);
    await run(started, [restarted], 2_000);
    assert.deepEqual(Object.keys(await held(restarted)), ["endless"]);
  });
});

Deno.test("a clock that is set does not end a time to live", async () => {
  let uptimeMs = 0;
  await using started = await startAgent({ uptimeMs: () => uptimeMs });
  const { agent, clock } = started;
  await agent.addresses.allocate("a", { ...request("c"), ttlMs: 10_000 });
  await agent.addresses.expire("own");
  clock.nowMs += 365 * 86_400_000;
  await agent.addresses.expire("own");
  assert.deepEqual(Object.keys(await held(agent)), ["c"]);
  for (let i = 0; i < 11; i++) {
    uptimeMs += 1_000;
    await agent.addresses.expire("own");
  }
  assert.deepEqual(await held(agent), {});
});

Deno.test("a CNI ADD ends a time to live, and a container cannot get one", async () => {
  await using started = await startAgent();
  const { agent, netns } = started;
  netns.set("/n", "there");
  await agent.addresses.allocate("a", { ...request("c"), ttlMs: 1_000 });
  const { allocation } = await agent.addresses.allocate("a", {
    ...request("c"),
    netns: "/n",
  });
  assert.equal(allocation.ttlMs, undefined);
  await run(started, [agent], 5_000);
  assert.deepEqual(Object.keys(await held(agent)), ["c"]);
  await agent.addresses.allocate("a", { ...request("d"), netns: "/n" });
  await assert.rejects(
    agent.addresses.allocate("a", { ...request("d"), ttlMs: 1_000 }),
    { code: "failed_precondition", message: /time to live/ },
  );
});

Deno.test("labels stay with an allocation, select it, and are replaced as a whole", async () => {
  await using started = await startAgent();
  const { agent } = started;
  const labels = { app: "web", tier: "front=end" };
  await agent.addresses.allocate("a", { ...request("c0"), labels });
  await agent.addresses.allocate("a", {
    ...request("c1"),
    labels: { app: "web" },
  });
  await allocate(agent, "c2");
  const select = async (wanted: Record<string, string>, from = agent) =>
    (await from.addresses.list("a", { limit: 10, labels: wanted }))
      .map((each) => each.owner.containerId);
  assert.deepEqual(await select({ app: "web" }), ["c0", "c1"]);
  assert.deepEqual(await select({ app: "web", tier: "front=end" }), ["c0"]);
  assert.deepEqual(await select({ app: "WEB" }), []);
  assert.deepEqual(await select({ constructor: "" }), []);
  // None leave them as they are.
  await allocate(agent, "c0");
  assert.deepEqual(
    (await agent.addresses.get("a", owner("c0")))?.labels,
    labels,
  );
  await agent.addresses.allocate("a", {
    ...request("c0"),
    labels: { app: "db" },
  });
  const restarted = await started.restart();
  assert.deepEqual(await select({ app: "web" }, restarted), ["c1"]);
  const changed = await restarted.addresses.get("a", owner("c0"));
  assert.deepEqual(changed?.labels, { app: "db" });
});
