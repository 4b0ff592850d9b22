import assert from "node:assert/strict";
import fc from "fast-check";
import { findMtu, likelyMtu } from "../../../src/probe/plan/mtu_search.ts";

/** Searches on a path of an MTU, and counts how often several were tried at once. */
async function search(
  mtu: number,
  options: { readonly fails: number; readonly hint?: number },
): Promise<{ found: number; rounds: number; tried: number }> {
  let rounds = 0;
  let tried = 0;
  let isCounted = false;
  const found = await findMtu({
    passes: 84,
    fails: options.fails,
    hint: options.hint,
    probe: async (packetBytes: number) => {
      assert.ok(packetBytes > 84 && packetBytes < options.fails);
      tried++;
      if (!isCounted) {
        isCounted = true;
        rounds++;
      }
      await Promise.resolve();
      isCounted = false;
      return { isAnswered: packetBytes <= mtu, mtuBytes: undefined };
    },
  });
  return { found, rounds, tried };
}

Deno.test("findMtu() finds the largest packet that passes, in few rounds", async (t) => {
  const rows: readonly [mtu: number, fails: number, rounds: number][] = [
    [1400, 1500, 2],
    [1450, 1500, 2],
    [1499, 1500, 2],
    [1500, 9000, 2],
    [1404, 1500, 3],
    [8999, 9000, 3],
    [84, 1500, 2],
    [84, 85, 0],
  ];
  for (const [mtu, fails, atMost] of rows) {
    await t.step(`${mtu} of ${fails}`, async () => {
      const { found, rounds, tried } = await search(mtu, { fails });
      assert.equal(found, mtu);
      assert.ok(rounds <= atMost, `${rounds} rounds`);
      assert.ok(tried <= 20 + 8 * rounds, `${tried} packets`);
    });
  }
});

Deno.test("findMtu() tries first what a router said", async () => {
  const { found, rounds } = await search(1437, { fails: 1500, hint: 1437 });
  assert.deepEqual({ found, rounds }, { found: 1437, rounds: 1 });
});

Deno.test("findMtu() finds any size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 84, max: 9999 }),
      fc.integer({ min: 1, max: 5000 }),
      async (mtu, more) => {
        const { found, rounds } = await search(mtu, { fails: mtu + more });
        assert.equal(found, mtu);
        assert.ok(rounds <= 6, `${rounds} rounds`);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("likelyMtu() leaves the room for a VLAN tag out", () => {
  assert.equal(likelyMtu(1400), 1400);
  assert.equal(likelyMtu(1404), 1400);
  assert.equal(likelyMtu(1405), 1405);
  assert.equal(likelyMtu(84), 84);
});
