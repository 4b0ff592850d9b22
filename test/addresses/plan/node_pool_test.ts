import assert from "node:assert/strict";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import { Addresses, owner } from "./pools.ts";

const CAPACITY = 13;

/** A step of a walk: the owner, its action, and the time since the step before. */
const step = fc.record({
  container: fc.nat(20),
  action: fc.constantFrom(
    "allocate" as const,
    "release" as const,
    "request" as const,
  ),
  address: fc.integer({ min: 2, max: CAPACITY + 1 }),
  laterMs: fc.nat(40),
});

Deno.test("NodePool: no address is held twice, and none is lost, on any walk", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const addresses = new Addresses(["10.0.0.0/28"], 100);
      const held = new Map<string, string>();
      let nowMs = 0;
      for (const { container, action, address, laterMs } of steps) {
        nowMs += laterMs;
        const id = `c${container}`;
        if (action === "release") {
          addresses.release(id, nowMs);
          held.delete(id);
        } else {
          const wanted = action === "request" ? [`10.0.0.${address}`] : [];
          const isTaken = [...held.values()].includes(wanted[0] ?? "");
          const got = addresses.allocate(id, { addresses: wanted, nowMs });
          const before = held.get(id);
          const expected = before !== undefined
            ? (wanted.length === 0 || wanted[0] === before)
            : (wanted.length > 0 ? !isTaken : held.size < CAPACITY);
          assert.equal(got.startsWith("10."), expected, got);
          if (expected) held.set(id, before ?? got);
          assert.equal(expected ? got : before, held.get(id));
        }
        assert.equal(new Set(held.values()).size, held.size);
        const pool = addresses.pool.subnets[0]!;
        assert.equal(pool.heldCount, held.size);
        for (const [id, text] of held) {
          assert.deepEqual(pool.holderOf(parseAddress(text)), owner(id));
        }
        assert.deepEqual(
          addresses.pool.allocations().map((a) =>
            formatAddress(a.addresses[0]!.address)
          ).toArray(),
          [...held.values()].sort((a, b) =>
            Number(a.slice(7)) - Number(b.slice(7))
          ),
        );
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("NodePool: releasing restores, so that the subnet can be filled again", () => {
  const addresses = new Addresses(["10.0.0.0/28"]);
  for (let round = 0; round < 5; round++) {
    assert.equal(new Set(addresses.walk(CAPACITY)).size, CAPACITY);
    for (let i = 0; i < CAPACITY; i++) addresses.release(`walk${i}`);
    assert.equal(addresses.pool.size, 0);
  }
});

Deno.test("NodePool.allocations() goes on behind an address", () => {
  const addresses = new Addresses(["10.0.0.0/28"]);
  addresses.walk(6);
  addresses.release("walk3");
  const page = addresses.pool.allocations(parseAddress("10.0.0.3")).take(2);
  assert.deepEqual(
    page.map((a) => formatAddress(a.addresses[0]!.address)).toArray(),
    ["10.0.0.4", "10.0.0.6"],
  );
  const count = (behind: string) =>
    addresses.pool.allocations(parseAddress(behind)).toArray().length;
  assert.deepEqual([count("9.0.0.0"), count("11.0.0.0")], [5, 0]);
});

Deno.test("NodePool.allocations() lists each allocation once, also those without an address of the first subnet", () => {
  const { pool } = new Addresses(["10.0.0.0/28", "fd00::/64"]);
  const hold = (containerId: string, ...texts: string[]) => {
    const addresses = texts.map(parseAddress)
      .map((address) => ({ address, subnet: pool.poolOf(address)!.subnet }));
    const terms = { id: containerId, allocatedAtMs: 0, requested: true };
    const allocation = { ...terms, owner: owner(containerId), addresses };
    pool.apply({ kind: "hold", allocation });
  };
  hold("six", "fd00::5");
  hold("both", "10.0.0.3", "fd00::2");
  hold("four", "10.0.0.2");
  const list = (behind?: string) =>
    pool.allocations(behind === undefined ? undefined : parseAddress(behind))
      .map((a) => a.owner.containerId).toArray();
  assert.deepEqual(list(), ["four", "both", "six"]);
  assert.deepEqual(list("10.0.0.2"), ["both", "six"]);
  assert.deepEqual(list("10.0.0.3"), ["six"]);
  assert.deepEqual(list("fd00::5"), []);
});

Deno.test("NodePool takes back that an owner got another name", () => {
  const addresses = new Addresses(["10.0.0.0/28"]);
  addresses.allocate("before");
  const { pool } = addresses;
  const held = pool.get(owner("before"))!;
  const change = {
    kind: "renew" as const,
    allocation: { ...held, owner: owner("after") },
    formerOwner: held.owner,
  };
  const revert = pool.reverter(change);
  const names = () => pool.values().map((a) => a.owner.containerId).toArray();
  pool.apply(change);
  assert.deepEqual(names(), ["after"]);
  assert.deepEqual(
    pool.poolOf(held.addresses[0]!.address)?.holderOf(
      held.addresses[0]!.address,
    ),
    owner("after"),
  );
  revert();
  assert.deepEqual(names(), ["before"]);
});
