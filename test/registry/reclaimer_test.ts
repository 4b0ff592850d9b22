import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import type { WatchedNode } from "../../src/registry/plan/reclaim_plan.ts";
import { Reclaimer } from "../../src/registry/reclaimer.ts";

const AFTER_MS = 60_000;

/** Nodes n0, n1 … by their silence in seconds; "-": alive. */
function nodes(text: string): WatchedNode[] {
  return text.split(" ").map((word, i) => ({
    name: `n${i}`,
    isAlive: word === "-",
    silentMs: word === "-" ? 0 : Number(word) * 1_000,
  }));
}

/** A reclaimer and a record of its effects. */
function createReclaimer() {
  const done: string[] = [];
  const world = { isRemover: true, nowMs: 0, isRefusing: false };
  const reclaimer = new Reclaimer({
    uptimeMs: () => world.nowMs,
    isRemover: () => world.isRemover,
    restartSilence: () => void done.push("restart"),
    remove: (node) => {
      if (world.isRefusing) throw new NetError("unavailable", "no store");
      done.push(`remove ${node}`);
      return Promise.resolve();
    },
    onRemoval: (_, text) => void done.push(text),
  });
  return {
    world,
    /** Checks nodes and returns the effects. */
    async check(text: string): Promise<string[]> {
      await reclaimer.check(nodes(text), AFTER_MS);
      return done.splice(0);
    },
  };
}

Deno.test("Reclaimer announces a removal once, then removes the node", async () => {
  const { check } = createReclaimer();
  assert.deepEqual(await check("20 -"), [
    "n0 is removed in 40 s unless it comes back",
  ]);
  assert.deepEqual(await check("21 -"), []);
  assert.deepEqual(await check("60 -"), [
    "n0 is removed: it was silent for too long",
    "remove n0",
  ]);
});

Deno.test("Reclaimer announces a removal again after the node was back", async () => {
  const { check } = createReclaimer();
  await check("20 -");
  assert.deepEqual(await check("- -"), []);
  assert.deepEqual(await check("15 -"), [
    "n0 is removed in 45 s unless it comes back",
  ]);
});

Deno.test("Reclaimer counts silence afresh after all nodes were silent", async () => {
  const { check } = createReclaimer();
  assert.deepEqual(await check("80 80 80"), [
    "n0 was silent for too long, and stays: too many nodes are silent",
    "n1 was silent for too long, and stays: too many nodes are silent",
    "n2 was silent for too long, and stays: too many nodes are silent",
  ]);
  // The first heartbeat arrives: the other nodes get as much time again.
  assert.deepEqual(await check("- 81 81"), [
    "restart",
    "n1 is removed in 60 s unless it comes back",
    "n2 is removed in 60 s unless it comes back",
  ]);
});

Deno.test("Reclaimer removes and announces nothing while another agent removes nodes", async () => {
  const { world, check } = createReclaimer();
  world.isRemover = false;
  assert.deepEqual(await check("60 20 -"), []);
  world.isRemover = true;
  assert.deepEqual(await check("61 21 -"), [
    "n1 is removed in 39 s unless it comes back",
    "n0 is removed: it was silent for too long",
    "remove n0",
  ]);
});

Deno.test("Reclaimer tries again when a removal fails, and removes 3 nodes within the limit", async () => {
  const { world, check } = createReclaimer();
  world.isRefusing = true;
  await check("60 - - - - - - - -");
  world.isRefusing = false;
  assert.deepEqual(await check("61 - - - - - - - -"), ["remove n0"]);
  const held = await check("- 60 60 60 - - - -");
  assert.ok(held.includes("remove n1") && held.includes("remove n2"));
  assert.ok(!held.includes("remove n3"));
  world.nowMs = AFTER_MS;
  assert.ok((await check("- - - 60 - - - -")).includes("remove n3"));
});
