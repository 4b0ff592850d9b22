import assert from "node:assert/strict";
import {
  KnownProbeKeys,
  ProbeKeyRing,
  ROTATION_MS,
} from "../../src/probe/keys.ts";
import { digestKeys } from "../../src/probe/seal.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";
import { FaultyStore } from "../fake/faulty_store.ts";

/** A registry's ring of keys, whose random bytes count up. */
function createRing(store: Store) {
  const world = { nowMs: 1_000_000_000, uptimeMs: 0, made: 0 };
  const ring = new ProbeKeyRing({
    store,
    now: () => world.nowMs,
    uptimeMs: () => world.uptimeMs,
    randomBytes: (count) => new Uint8Array(count).fill(++world.made),
  });
  return { world, ring };
}

async function openStore(): Promise<AsyncDisposable & { store: Store }> {
  const store = await openDenoKv({ path: ":memory:" });
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close();
    },
  };
}

const idsOf = (keys: readonly { readonly id: number }[]) =>
  keys.map(({ id }) => id);

Deno.test("ProbeKeyRing makes a key, and its successors in their time", async () => {
  await using opened = await openStore();
  const { store } = opened;
  const { world, ring } = createRing(store);
  assert.deepEqual(idsOf(await ring.read()), [1]);
  world.nowMs += ROTATION_MS - 1;
  assert.deepEqual(idsOf(await ring.read()), [1]);
  world.nowMs += 1;
  assert.deepEqual(idsOf(await ring.read()), [1, 2]);
  world.nowMs += ROTATION_MS;
  assert.deepEqual(idsOf(await ring.read()), [1, 2, 3]);
  world.nowMs += ROTATION_MS;
  const keys = await ring.read();
  assert.deepEqual(idsOf(keys), [2, 3, 4]);
  assert.equal(new Set(keys.map(({ secret }) => secret[0])).size, 3);
  assert.ok(keys.every(({ secret }) => secret.length === 32));
  // With a clock that was set far back, the rotation goes on.
  world.nowMs -= 100 * ROTATION_MS;
  assert.deepEqual(idsOf(await ring.read()), [2, 3, 4]);
  world.uptimeMs += ROTATION_MS - 1;
  assert.deepEqual(idsOf(await ring.read()), [2, 3, 4]);
  world.uptimeMs += 1;
  assert.deepEqual(idsOf(await ring.read()), [3, 4, 5]);
  assert.deepEqual(idsOf(await ring.read()), [3, 4, 5]);
});

Deno.test("agents of one registry whose clocks differ by years make at most one key each in its time", async () => {
  await using opened = await openStore();
  const one = createRing(opened.store);
  const two = createRing(opened.store);
  two.world.nowMs += 1_000 * ROTATION_MS;
  let last: readonly number[] = [];
  for (let i = 0; i < 20; i++) {
    await one.ring.read();
    last = idsOf(await two.ring.read());
  }
  assert.deepEqual(last, [1, 2]);
});

Deno.test("two agents of one registry have the same keys", async () => {
  await using opened = await openStore();
  const { store } = opened;
  const rings = [createRing(store), createRing(store), createRing(store)];
  const all = await Promise.all(rings.map(({ ring }) => ring.read()));
  assert.deepEqual(all[1], all[0]);
  assert.deepEqual(all[2], all[0]);
});

Deno.test("ProbeKeyRing.latest waits for no store, and reads again once the keys are old", async () => {
  await using opened = await openStore();
  const { store: kv } = opened;
  const store = new FaultyStore(kv);
  const { world, ring } = createRing(store);
  // Another one: what it reads meanwhile is not to come in between below.
  assert.deepEqual(createRing(store).ring.latest, []);
  const keys = await ring.read();
  assert.deepEqual(ring.latest, keys);
  world.nowMs += ROTATION_MS;
  assert.deepEqual(ring.latest, keys, "they are not old yet");
  const other = createRing(store);
  other.world.nowMs = world.nowMs;
  await other.ring.read();
  world.uptimeMs += 5_000;
  assert.deepEqual(ring.latest, keys, "it reads meanwhile");
  while (ring.latest.length < 2) await new Promise((r) => setTimeout(r, 1));
  assert.deepEqual(idsOf(ring.latest), [1, 2]);
});

Deno.test("KnownProbeKeys outlive a restart, and are written only when they have changed", async () => {
  await using opened = await openStore();
  const { store } = opened;
  const known = await KnownProbeKeys.open(store);
  assert.deepEqual([known.keys, known.digest], [[], 0]);
  const { ring, world } = createRing(store);
  await known.update(await ring.read());
  world.nowMs += ROTATION_MS;
  const keys = await ring.read();
  await known.update(keys);
  assert.equal(known.digest, digestKeys(keys));
  const again = await KnownProbeKeys.open(store);
  assert.deepEqual(again.keys, keys);
  const version = (await store.get(["probe", "known"]))!.version;
  await again.update([...keys]);
  assert.equal((await store.get(["probe", "known"]))!.version, version);
});

Deno.test("a damaged record of keys counts as none, and is made anew", async () => {
  await using opened = await openStore();
  const { store } = opened;
  for (const value of [7, { keys: 1 }, { keys: [{ id: 1, secret: "AA==" }] }]) {
    await store.commit({ puts: [{ key: ["probe", "ring"], value }] });
    assert.deepEqual(idsOf(await createRing(store).ring.read()), [1]);
  }
});

Deno.test("KnownProbeKeys are used even if the store does not take them", async () => {
  await using opened = await openStore();
  const store = new FaultyStore(opened.store);
  const known = await KnownProbeKeys.open(store);
  const keys = await createRing(opened.store).ring.read();
  store.isDown = true;
  await known.update(keys);
  assert.deepEqual(known.keys, keys);
});
