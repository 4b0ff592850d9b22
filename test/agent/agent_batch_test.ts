import assert from "node:assert/strict";
import { waitFor } from "../support/wait_for.ts";
import { owner } from "../addresses/plan/pools.ts";
import {
  allocate,
  held,
  networks,
  request,
  startAgent,
  type TestAgent,
} from "./agents.ts";

const WIDE = { networks: networks(["10.0.0.0/8", 20], ["fd00::/48", 64]) };
const REASON = { reason: "why" };

/** Containers by number. */
function ids(count: number, prefix = "c"): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

/** Everything in the store below the node's addresses, as one text. */
async function dump({ store }: TestAgent): Promise<string> {
  const lines: string[] = [];
  for await (const { key, value } of store.list(["ip"])) {
    lines.push(JSON.stringify([key, value]));
  }
  return lines.join("\n");
}

async function pendingParts({ store }: TestAgent): Promise<number> {
  let parts = 0;
  for await (const _ of store.list(["ip", "a", "pending"])) parts++;
  return parts;
}

Deno.test("NodeAddresses.allocateBatch() gives all or nothing", async (t) => {
  await using agents = await startAgent({
    networks: networks(["10.0.0.0/24", 29]),
  });
  const { agent, store } = agents;
  await allocate(agent, "first");
  const before = await dump(agents);
  const rows: readonly [
    name: string,
    requests: ReturnType<typeof request>[],
    code: string,
    item: string,
  ][] = [
    ["more than are free", ids(5).map((id) => request(id)), "exhausted", "4"],
    [
      "an address of another",
      [request("c0"), request("c1", "10.0.0.2")],
      "already_exists",
      "1",
    ],
    [
      "an address that an item before it got",
      [request("c0", "10.0.0.4"), request("c1", "10.0.0.4")],
      "already_exists",
      "1",
    ],
    [
      "an address outside",
      [request("c0", "10.1.0.1")],
      "invalid_argument",
      "0",
    ],
  ];
  for (const [name, requests, code, item] of rows) {
    await t.step(name, async () => {
      const commits = store.commits;
      await assert.rejects(
        agent.addresses.allocateBatch("a", requests),
        ({ code: found, details }: {
          code: string;
          details: { metadata: { item: string } };
        }) => found === code && details.metadata.item === item,
      );
      assert.equal(store.commits, commits);
      assert.equal(await dump(agents), before);
      assert.deepEqual(await held(agent), { first: "10.0.0.2" });
    });
  }
  await t.step(
    "what is taken back can be given out, in the old order",
    async () => {
      await agent.addresses.allocateBatch("a", ids(4).map((id) => request(id)));
      assert.deepEqual(await held(agent), {
        ...{ first: "10.0.0.2", c0: "10.0.0.3", c1: "10.0.0.4" },
        ...{ c2: "10.0.0.5", c3: "10.0.0.6" },
      });
    },
  );
});

Deno.test("NodeAddresses.allocateBatch() takes back cooling addresses as they were", async () => {
  await using agents = await startAgent({
    networks: networks(["10.0.0.0/24", 29]),
    coolDownMs: 1e9,
  });
  const { agent, clock } = agents;
  for (const id of ids(5)) await allocate(agent, id);
  for (const id of ids(5)) {
    clock.nowMs += 10;
    await agent.addresses.release("a", { owner: owner(id), reason: "" });
  }
  const tooMany = ids(6, "d").map((id) => request(id));
  await assert.rejects(agent.addresses.allocateBatch("a", tooMany), {
    code: "exhausted",
  });
  // The one that has cooled longest comes first.
  assert.equal(await allocate(agent, "next"), "10.0.0.2");
});

Deno.test("NodeAddresses.allocateBatch() makes 1,000 allocations durable in one commit", async (t) => {
  const limits: readonly [string, Partial<TestAgent["store"]["limits"]>][] = [
    ["of Deno KV", {}],
    ["of etcd", { maxMutations: 128, maxChecks: 128 }],
  ];
  for (const [name, tighter] of limits) {
    await t.step(`with the limits ${name}`, async () => {
      await using agents = await startAgent(WIDE);
      const { agent, store } = agents;
      store.limits = { ...store.limits, ...tighter };
      await allocate(agent, "first");
      const requests = ids(1_000).map((id) => request(id));
      // The first commit alone passes: what it holds has to be all.
      store.failAfter(1, "refuse before");
      const given = await agent.addresses.allocateBatch("a", requests);
      assert.equal(given.length, 1_000);
      assert.ok(await pendingParts(agents) > 0);
      store.mend();
      const restarted = await agents.restart();
      const after = await held(restarted);
      assert.equal(Object.keys(after).length, 1_001);
      const all = Object.values(after).flatMap((text) => text.split(" "));
      assert.equal(new Set(all).size, 2_002);
      assert.equal(await pendingParts(agents), 0);
      const { allocation } = given[999]!;
      assert.deepEqual(
        await restarted.addresses.get("a", owner("c999")),
        allocation,
      );
      // And once more, as after a second restart.
      assert.deepEqual(await held(await agents.restart()), after);
    });
  }
});

Deno.test("NodeAddresses.releaseBatch() releases all in one commit, wherever it is interrupted", async (t) => {
  for (const commits of [0, 1, 2, 4]) {
    await t.step(`after ${commits} commits`, async () => {
      await using agents = await startAgent({ ...WIDE, keepHistoryMs: 1e9 });
      const { agent, store, clock } = agents;
      store.limits = { ...store.limits, maxMutations: 128, maxChecks: 128 };
      await agent.addresses.allocateBatch(
        "a",
        ids(100).map((id) => request(id)),
      );
      await allocate(agent, "other");
      clock.nowMs += 10;
      const failsAt = store.commits + commits + 1;
      store.failAfter(commits, "refuse before");
      const owners = ids(100).map((id) => ({ owner: owner(id) }));
      const releasing = agent.addresses.releaseBatch("a", owners, REASON);
      if (commits === 0) {
        await assert.rejects(releasing, { code: "unavailable" });
      } else {
        assert.ok((await releasing).every((released) => released));
        // The rest is written after the answer.
        await waitFor("the commit that fails", () => store.commits >= failsAt, {
          timeoutMs: 60_000,
        });
      }
      store.mend();
      const restarted = await agents.restart();
      const left = Object.keys(await held(restarted)).length;
      assert.equal(left, commits === 0 ? 101 : 1);
      const history = await restarted.addresses.history({
        node: "a",
        limit: 1e6,
      });
      const released = history.filter(({ reason }) => reason === "why");
      assert.equal(released.length, commits === 0 ? 0 : 200);
      assert.equal(await pendingParts(agents), 0);
    });
  }
});

Deno.test("NodeAddresses.releaseBatch() skips owners without an allocation, or with another one", async () => {
  await using agents = await startAgent(WIDE);
  const { agent } = agents;
  for (const id of ["c0", "c1"]) await allocate(agent, id);
  const first = await agent.addresses.get("a", owner("c0"));
  const released = await agent.addresses.releaseBatch("a", [
    { owner: owner("c0"), id: first!.id },
    { owner: owner("c1"), id: "another" },
    { owner: owner("c2") },
  ], REASON);
  assert.deepEqual(released.map((each) => each?.id), [
    first!.id,
    undefined,
    undefined,
  ]);
  assert.deepEqual(Object.keys(await held(agent)), ["c1"]);
});

Deno.test("NodeAddresses.allocateBatch() refuses a batch too large for one commit of the store", async () => {
  await using agents = await startAgent(WIDE);
  const { agent, store } = agents;
  const labels = { note: "x".repeat(255) };
  store.limits = {
    ...store.limits,
    ...{ maxCommitBytes: 200_000, maxMutations: 128 },
  };
  const requests = ids(1_000).map((id) => ({ ...request(id), labels }));
  await assert.rejects(agent.addresses.allocateBatch("a", requests), {
    code: "exhausted",
    message: /takes \d+ bytes, and the store takes 200000 .* in parts/,
  });
  assert.deepEqual(await held(agent), {});
});

Deno.test("a dry run answers, and leaves store and memory as they are", async (t) => {
  await using agents = await startAgent({ ...WIDE, coolDownMs: 10 });
  const { agent, store, clock } = agents;
  const dry = { isDryRun: true };
  await t.step("where the node has no subnet yet", async () => {
    const { allocation, created } = await agent.addresses.allocate(
      "a",
      request("c0"),
      dry,
    );
    assert.ok(created);
    assert.deepEqual(allocation.addresses, []);
    assert.equal(await dump(agents), "");
  });
  await allocate(agent, "first");
  await agent.addresses.release("a", { owner: owner("first"), reason: "" });
  await allocate(agent, "second");
  clock.nowMs += 100;
  const before = await dump(agents);
  const { commits } = store;
  const rows: readonly [string, () => Promise<unknown>][] = [
    ["allocate", () => agent.addresses.allocate("a", request("c0"), dry)],
    [
      "allocate, as a container runtime",
      () =>
        agent.addresses.allocate("a", { ...request("c0"), netns: "/n" }, dry),
    ],
    [
      "allocateBatch",
      () => agent.addresses.allocateBatch("a", [request("c0")], dry),
    ],
    [
      "allocate with labels, for a holder",
      () =>
        agent.addresses.allocate("a", {
          ...request("second"),
          labels: { a: "b" },
        }, dry),
    ],
    [
      "release",
      () =>
        agent.addresses.release(
          "a",
          { owner: owner("second"), reason: "" },
          dry,
        ),
    ],
    [
      "releaseBatch",
      () =>
        agent.addresses.releaseBatch("a", [{ owner: owner("second") }], {
          ...REASON,
          ...dry,
        }),
    ],
    [
      "keepAlive",
      () => agent.addresses.keepAlive("a", [{ owner: owner("second") }], dry),
    ],
    [
      "releaseOthers",
      () => agent.addresses.releaseOthers("a", "default", [], dry),
    ],
    [
      "reserve",
      () =>
        agent.addresses.reserve("a", {
          address: request("x", "10.0.0.9").addresses[0]!,
          reason: "",
        }, dry),
    ],
  ];
  for (const [name, run] of rows) {
    await t.step(name, async () => {
      assert.ok(await run());
      assert.equal(store.commits, commits);
      assert.equal(await dump(agents), before);
      assert.deepEqual(Object.keys(await held(agent)), ["second"]);
    });
  }
  await t.step("what it told comes true", async () => {
    const told = await agent.addresses.allocate("a", request("c0"), dry);
    const given = await agent.addresses.allocate("a", request("c0"));
    assert.deepEqual(given.allocation.addresses, told.allocation.addresses);
  });
});
