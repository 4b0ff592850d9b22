import assert from "node:assert/strict";
import {
  HEARTBEAT_INTERVAL_MS,
  UNREACHABLE_AFTER_MS,
} from "../../src/registry/liveness.ts";
import { SharedLiveness } from "../../src/registry/shared_liveness.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { waitFor } from "../support/wait_for.ts";

interface World {
  readonly clock: { nowMs: number };
  readonly store: FaultyStore;
  readonly x: SharedLiveness;
  readonly y: SharedLiveness;
  /** What each is told to have changed. */
  readonly changes: { readonly x: string[]; readonly y: string[] };
  /** The node and the process that each is told of. */
  readonly processes: { readonly x: string[]; readonly y: string[] };
}

/** Two agents, x and y, that host one registry. */
async function withTwo(use: (world: World) => Promise<void>): Promise<void> {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const clock = { nowMs: 1_000_000 };
  const changes = { x: [] as string[], y: [] as string[] };
  const processes = { x: [] as string[], y: [] as string[] };
  const create = (id: "x" | "y") =>
    new SharedLiveness({
      id,
      store,
      now: () => clock.nowMs,
      uptimeMs: () => clock.nowMs,
      onChange: (node) => changes[id].push(node),
      onProcess: (node, process) => processes[id].push(`${node} ${process}`),
    });
  const [x, y] = [create("x"), create("y")];
  x.start();
  y.start();
  try {
    await use({ clock, store, x, y, changes, processes });
  } finally {
    await Promise.all([x.stop(), y.stop()]);
    await store.close();
  }
}

/** What the store says of a node. */
async function told(store: FaultyStore, node: string): Promise<unknown> {
  return (await store.get(["alive", "node", node]))?.value;
}

Deno.test("SharedLiveness tells others of a node that is heard of, and of its silence", () =>
  withTwo(async ({ clock, store, x, y }) => {
    clock.nowMs += UNREACHABLE_AFTER_MS;
    assert.equal(y.isAlive("n"), false);
    x.recordHeartbeat("n");
    await waitFor("y to be told", () => y.isAlive("n"));
    // As agents do while they are alive.
    await store.commit({
      puts: [{ key: ["alive", "host", "x"], value: { atMs: 1 } }],
    });
    clock.nowMs += UNREACHABLE_AFTER_MS;
    assert.deepEqual(x.takeNewlySilent(["n"]), ["n"]);
    await waitFor("y to be told", () => !y.isAlive("n"));
    assert.deepEqual(y.takeNewlySilent(["n"]), ["n"]);
    assert.deepEqual(y.takeNewlySilent(["n"]), []);
  }));

Deno.test("SharedLiveness says that a node is back that was silent before this agent was started", () =>
  withTwo(async ({ clock, store, x, y }) => {
    clock.nowMs += UNREACHABLE_AFTER_MS;
    x.recordHeartbeat("n");
    await waitFor("y to be told", () => y.isAlive("n"));
    clock.nowMs += UNREACHABLE_AFTER_MS;
    assert.deepEqual(x.takeNewlySilent(["n"]), ["n"]);
    await waitFor("y to be told", () => !y.isAlive("n"));
    assert.equal(y.recordHeartbeat("n"), true);
    assert.equal(y.recordHeartbeat("n"), false);
    assert.equal(y.recordHeartbeat("new"), false);
    await waitFor(
      "the record",
      async () => (await told(store, "n")) !== undefined,
    );
  }));

Deno.test("SharedLiveness writes when a node comes, not at every heartbeat", () =>
  withTwo(async ({ clock, store, x, y }) => {
    x.recordHeartbeat("n");
    await waitFor(
      "y to be told",
      async () => y.isAlive("n") && await told(store, "n") !== undefined,
    );
    const before = store.commits;
    for (let i = 0; i < 100; i++) {
      clock.nowMs += HEARTBEAT_INTERVAL_MS;
      x.recordHeartbeat("n");
      assert.ok(x.isAlive("n"));
    }
    assert.equal(store.commits, before);
  }));

Deno.test("SharedLiveness takes a node for alive that goes over to another agent", () =>
  withTwo(async ({ clock, store, x, y, changes }) => {
    x.recordHeartbeat("n");
    await waitFor(
      "y to be told",
      async () => await told(store, "n") !== undefined,
    );
    clock.nowMs += UNREACHABLE_AFTER_MS;
    y.recordHeartbeat("n");
    await waitFor("x to be told", () => x.isAlive("n"));
    assert.deepEqual(await told(store, "n"), { by: "y", isAlive: true });
    assert.deepEqual(x.takeNewlySilent(["n"]), []);
    assert.deepEqual(changes.x, ["n"]);
  }));

Deno.test("SharedLiveness takes the nodes of an agent that is gone for silent", () =>
  withTwo(async ({ clock, store, x, y }) => {
    x.recordHeartbeat("n");
    await waitFor(
      "y to be told",
      async () => y.isAlive("n") && await told(store, "n") !== undefined,
    );
    await x.stop();
    clock.nowMs += UNREACHABLE_AFTER_MS - 1;
    assert.ok(y.isAlive("n"));
    clock.nowMs += 1;
    assert.equal(y.isAlive("n"), false);
    assert.equal(y.silentForMs("n"), UNREACHABLE_AFTER_MS);
    y.recordHeartbeat("n");
    assert.ok(y.isAlive("n"));
  }));

Deno.test("SharedLiveness repeats a failed report", () =>
  withTwo(async ({ store, x, y }) => {
    await waitFor("the first signs of life", () => store.commits >= 2);
    store.isDown = true;
    x.recordHeartbeat("n");
    assert.ok(x.isAlive("n"));
    await waitFor("an attempt", () => store.commits >= 2);
    store.isDown = false;
    x.recordHeartbeat("n");
    await waitFor(
      "y to be told",
      async () => await told(store, "n") !== undefined,
    );
    assert.ok(y.isAlive("n"));
  }));

Deno.test("SharedLiveness.forget() has others forget a node, too", () =>
  withTwo(async ({ store, x }) => {
    x.recordHeartbeat("n");
    await waitFor(
      "it to be told",
      async () => await told(store, "n") !== undefined,
    );
    x.forget("n");
    await waitFor(
      "it to be gone",
      async () => await told(store, "n") === undefined,
    );
  }));

Deno.test("SharedLiveness writes the records of more nodes than a commit takes", () =>
  withTwo(async ({ store, x, y }) => {
    const nodes = Array.from({ length: 1_200 }, (_, i) => `n${i}`);
    for (const node of nodes) x.recordHeartbeat(node);
    await waitFor(
      "the last record",
      async () => await told(store, "n1199") !== undefined,
    );
    assert.ok(nodes.every((node) => y.isAlive(node)));
    // etcd takes 128 operations in a commit.
    assert.ok(store.commits > nodes.length / 128, String(store.commits));
  }));

/**
 * Lets time pass while one agent or both run: their records arrive, x receives
 * the heartbeats of n, and they check.
 */
async function pass(world: World, seconds: number, alive = "xy") {
  const { clock, store, x, y } = world;
  for (let second = 1; second <= seconds; second++) {
    clock.nowMs += 1_000;
    for (const id of second % 5 === 0 ? alive : "") {
      await store.commit({
        puts: [{ key: ["alive", "host", id], value: { atMs: clock.nowMs } }],
      });
      if (id === "x") x.recordHeartbeat("n");
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (const liveness of [x, y]) {
      if (!alive.includes(liveness === x ? "x" : "y")) continue;
      liveness.tick();
      liveness.takeNewlySilent(["n"]);
    }
  }
}

/** Lets an agent hear from the node, and waits until the others know. */
async function tell(x: World["x"], store: World["store"]): Promise<void> {
  x.recordHeartbeat("n");
  await waitFor(
    "the record",
    async () => (await told(store, "n")) !== undefined,
  );
}

Deno.test("SharedLiveness counts the silence of a node from the last record of the agent that reported it", () =>
  withTwo(async (world) => {
    const { store, x, y } = world;
    await tell(x, store);
    await pass(world, 300);
    assert.equal(y.silentForMs("n"), 0);
    // x is killed: n may have joined through y any moment.
    await pass(world, UNREACHABLE_AFTER_MS / 1_000, "y");
    assert.equal(y.isAlive("n"), false);
    assert.equal(y.silentForMs("n"), UNREACHABLE_AFTER_MS);
    await pass(world, 10, "y");
    assert.equal(y.silentForMs("n"), UNREACHABLE_AFTER_MS + 10_000);
  }));

Deno.test("SharedLiveness counts the silence of all afresh once the store answers again", () =>
  withTwo(async (world) => {
    const { clock, store, x, y } = world;
    await tell(x, store);
    await pass(world, 20, "y");
    assert.equal(y.silentForMs("n") >= 20_000, true);
    store.isDown = true;
    // A write that fails, as those of a full store.
    y.recordHeartbeat("m");
    await new Promise((resolve) => setTimeout(resolve, 20));
    const before = store.commits;
    store.isDown = false;
    clock.nowMs += 1_000;
    y.recordHeartbeat("k");
    await waitFor("a write", () => store.commits > before);
    await waitFor("the count", () => y.silentForMs("n") === 0);
    assert.equal(y.isAlive("n"), false);
  }));

Deno.test("SharedLiveness counts the silence of all afresh after a pause of its own", () =>
  withTwo(async (world) => {
    const { clock, store, x, y } = world;
    await tell(x, store);
    await pass(world, 20, "y");
    assert.equal(y.isAlive("n"), false);
    clock.nowMs += 3_600_000;
    y.tick();
    assert.equal(y.silentForMs("n"), 0);
    assert.equal(y.isAlive("n"), false);
  }));

Deno.test("SharedLiveness tells which process sent the heartbeats of a node to another agent", () =>
  withTwo(async ({ x, y, processes }) => {
    x.recordHeartbeat("n", "p1");
    await waitFor("p1", () => processes.y.includes("n p1"));
    y.recordHeartbeat("n", "p2");
    await waitFor("p2", () => processes.x.includes("n p2"));
    x.recordHeartbeat("n", "p1");
    await waitFor(
      "p1 again",
      () => processes.y.filter((text) => text === "n p1").length === 2,
    );
  }));

Deno.test("SharedLiveness.isRemover is true for one of the agents that are alive", () =>
  withTwo(async (world) => {
    await pass(world, 10);
    await waitFor("both", () => world.x.isRemover && !world.y.isRemover);
    await pass(world, 20, "y");
    assert.equal(world.y.isRemover, true);
    await pass(world, 10);
    assert.equal(world.y.isRemover, false);
  }));
