import assert from "node:assert/strict";
import { readState } from "../../src/backup/take.ts";
import type { Agent } from "../../src/agent/agent.ts";
import type { Entry, Store } from "../../src/store/store.ts";
import { owner } from "../addresses/plan/pools.ts";
import { contentsOf } from "../support/state_fixture.ts";
import { allocate, networks, startAgent } from "../agent/agents.ts";

/** How many containers are held at once. */
const HELD = 5;
const SMALL = networks(["10.0.0.0/16", 22]);

function stateOf(agent: Agent, store: Store): AsyncIterable<Entry> {
  return readState(store, { holdCluster: (run) => agent.host!.hold(run) });
}

/** The numbers of the containers that come and go, in their order. */
function numbersOf(names: readonly string[]): number[] {
  return names.filter((name) => name.startsWith("c"))
    .map((name) => Number(name.slice(1))).sort((a, b) => a - b);
}

Deno.test("readState() reads every entry of a state", async () => {
  await using started = await startAgent({ networks: SMALL });
  const { agent, store } = started;
  await allocate(agent, "c1");
  await allocate(agent, "c2");
  await agent.addresses.release("a", { owner: owner("c1"), reason: "test" });
  await store.commit({
    puts: [
      { key: ["audit", 5, 1], value: {} },
      { key: ["one"], value: 1 },
      { key: ["one", "two"], value: 2 },
      { key: [7, "number"], value: 3 },
      { key: ["zz", Number.MAX_SAFE_INTEGER], value: 4 },
    ],
  });
  const read = await Array.fromAsync(stateOf(agent, store));
  const keys = read.map(({ key }) => JSON.stringify(key));
  assert.equal(new Set(keys).size, keys.length);
  assert.deepEqual(
    Object.fromEntries(read.map((e) => [JSON.stringify(e.key), e.value])),
    await contentsOf(store),
  );
});

Deno.test("readState() reads a state as of one moment while addresses come and go", async () => {
  await using started = await startAgent({ networks: SMALL });
  const { agent, store, clock } = started;
  // More than a page of addresses, and of owners.
  await Promise.all(
    Array.from({ length: 600 }, (_, i) => allocate(agent, `still${i}`)),
  );
  let isDone = false;
  const writing = (async () => {
    for (let i = 0; !isDone; i++) {
      clock.nowMs++;
      await allocate(agent, `c${i}`);
      if (i >= HELD) {
        await agent.addresses.release("a", {
          owner: owner(`c${i - HELD}`),
          reason: "test",
        });
      }
    }
  })();
  const moments: number[] = [];
  while (moments.length < 40) {
    const held: string[] = [];
    const owners: string[] = [];
    const released = { time: [] as string[], ip: [] as string[] };
    for await (const { key, value } of stateOf(agent, store)) {
      const [, second, third, , fifth] = key;
      const record = value as { owner: [string, string, string] };
      if (third === "address") held.push(record.owner[1]);
      if (third === "owner") owners.push(String(fifth));
      if (second === "time") released.time.push(record.owner[1]);
      if (key[0] === "history" && second === "ip") {
        released.ip.push(record.owner[1]);
      }
    }
    const numbers = numbersOf(held);
    const [first = 0] = numbers;
    // Held: an unbroken row. Released: all before it, and no more.
    assert.deepEqual(numbers, numbers.map((_, i) => first + i));
    assert.ok(numbers.length <= HELD + 1, `${numbers}`);
    assert.deepEqual(numbersOf(owners), numbers);
    const before = Array.from({ length: first }, (_, i) => i);
    assert.deepEqual(numbersOf(released.time), before);
    assert.deepEqual(numbersOf(released.ip), before);
    moments.push(first + numbers.length);
  }
  isDone = true;
  await writing;
  assert.ok(moments.at(-1)! > moments[0]!, "something went on meanwhile");
});

Deno.test("readState() reads subnets and the pools of their nodes as of one moment", async () => {
  await using started = await startAgent({ networks: SMALL });
  const { agent, store } = started;
  const { registry, pools } = agent.requireHost();
  let isDone = false;
  const writing = (async () => {
    for (let i = 0; !isDone; i++) {
      await registry.claim(`n${i}`);
      await allocate(agent, "c1", { node: `n${i}` });
      await agent.addresses.release(`n${i}`, {
        owner: owner("c1"),
        reason: "test",
      });
      if (i >= HELD) await pools.release(`n${i - HELD}`);
    }
  })();
  const claimed = new Set<unknown>();
  for (let i = 0; i < 30; i++) {
    const owned: string[] = [];
    const opened: string[] = [];
    for await (const { key, value } of stateOf(agent, store)) {
      const [first, second, third] = key;
      const { state, node } = value as { state?: string; node?: string };
      if (second === "subnet" && state === "owned") owned.push(node!);
      if (first === "ip" && third === "pool") opened.push(String(second));
    }
    assert.deepEqual(owned.sort(), opened.sort());
    owned.forEach((node) => claimed.add(node));
  }
  isDone = true;
  await writing;
  assert.ok(claimed.size > HELD, "something went on meanwhile");
});

Deno.test("readState() reads a history that is pruned meanwhile in both of its places", async () => {
  await using started = await startAgent({ networks: SMALL });
  const { agent, store, clock } = started;
  const records = 600;
  for (let i = 0; i < records; i++) {
    clock.nowMs++;
    await allocate(agent, `c${i}`);
    await agent.addresses.release("a", {
      owner: owner(`c${i}`),
      reason: "test",
    });
  }
  const seen = { time: 0, ip: 0 };
  for await (const { key } of stateOf(agent, store)) {
    if (key[0] !== "history") continue;
    // A first page is read: the rest is gone.
    clock.nowMs += 10_000;
    await agent.addresses.pruneHistory();
    seen[key[1] as "time" | "ip"]++;
  }
  assert.equal(seen.time, seen.ip);
  assert.ok(seen.time > 0 && seen.time < records, `${seen.time} records`);
});
