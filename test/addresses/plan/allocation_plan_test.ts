import assert from "node:assert/strict";
import { planThaw } from "../../../src/addresses/plan/allocation_plan.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { owner } from "./pools.ts";
import { Addresses } from "./pools.ts";

Deno.test("planAllocation() gives .2 to .6 of a /29, then is exhausted", () => {
  const addresses = new Addresses(["192.168.1.0/29"]);
  assert.deepEqual(addresses.walk(6), [
    "192.168.1.2",
    "192.168.1.3",
    "192.168.1.4",
    "192.168.1.5",
    "192.168.1.6",
    "exhausted: IP allocation exhausted: all 5 addresses of 192.168.1.0/29 are held",
  ]);
});

Deno.test("planAllocation() goes on behind the address given last, and wraps", () => {
  const addresses = new Addresses(["192.168.1.0/29"]);
  addresses.allocate("a", { addresses: ["192.168.1.3"] });
  addresses.release("a");
  assert.deepEqual(
    addresses.walk(5).map((a) => a.slice(-2)),
    [".4", ".5", ".6", ".2", ".3"],
  );
});

Deno.test("planAllocation() gives ::2 of a /64 first", () => {
  const addresses = new Addresses(["2001:db8:1::/64"]);
  assert.deepEqual(addresses.walk(2), ["2001:db8:1::2", "2001:db8:1::3"]);
  const last = "2001:db8:1:0:ffff:ffff:ffff:ffff";
  assert.equal(addresses.allocate("last", { addresses: [last] }), last);
  assert.equal(addresses.allocate("wrapped"), "2001:db8:1::4");
});

Deno.test("planAllocation() gives the one address of a /30", () => {
  const addresses = new Addresses(["10.0.0.0/30"]);
  assert.equal(addresses.allocate("a"), "10.0.0.2");
  assert.match(addresses.allocate("b"), /^exhausted: /);
});

Deno.test("planAllocation() gives all 1,021 addresses of a /22", () => {
  const given = new Set(new Addresses(["172.16.0.0/22"]).walk(1021));
  assert.equal(given.size, 1021);
  for (
    const text of [
      "172.16.0.2",
      "172.16.0.255",
      "172.16.1.0",
      "172.16.1.1",
      "172.16.3.254",
    ]
  ) {
    assert.ok(given.has(text), text);
  }
});

const REFUSALS: [string, RegExp][] = [
  [
    "172.16.0.64",
    /^invalid_argument: .*"172\.16\.0\.64".* network address of 172\.16\.0\.64\/26$/,
  ],
  [
    "172.16.0.65",
    /^invalid_argument: .*"172\.16\.0\.65".* gateway of 172\.16\.0\.64\/26$/,
  ],
  [
    "172.16.0.127",
    /^invalid_argument: .*"172\.16\.0\.127".* broadcast address of 172\.16\.0\.64\/26$/,
  ],
  [
    "172.16.0.128",
    /^invalid_argument: .*"172\.16\.0\.128".* outside the node's subnet 172\.16\.0\.64\/26/,
  ],
  ["fd00::2", /^invalid_argument: .*"fd00::2".* outside/],
  ["172.16.0.70", /^already_exists: .*"172\.16\.0\.70".* held by "holder"/],
];

for (const [address, message] of REFUSALS) {
  Deno.test(`planAllocation() refuses ${address} by name`, () => {
    const addresses = new Addresses(["172.16.0.64/26"]);
    addresses.allocate("holder", { addresses: ["172.16.0.70"] });
    assert.match(addresses.allocate("a", { addresses: [address] }), message);
    assert.equal(addresses.pool.size, 1);
  });
}

Deno.test("planAllocation() refuses the anycast address of an IPv6 subnet by name", () => {
  const addresses = new Addresses(["fd00::/64"]);
  assert.match(
    addresses.allocate("a", { addresses: ["fd00::"] }),
    /subnet-router anycast address of fd00::\/64$/,
  );
});

Deno.test("planAllocation() returns the owner's allocation", () => {
  const addresses = new Addresses(["10.0.0.0/24"]);
  const first = addresses.allocate("a");
  assert.equal(addresses.allocate("a"), first);
  assert.equal(addresses.allocate("a", { addresses: [first] }), first);
  assert.match(
    addresses.allocate("a", { addresses: ["10.0.0.9"] }),
    /^already_exists: .*"10\.0\.0\.9".*holds 10\.0\.0\.2 already/,
  );
});

Deno.test("planAllocation() gives nothing when one of several requested addresses is held", () => {
  const addresses = new Addresses(["10.0.0.0/24", "fd00::/64"]);
  addresses.allocate("a", { addresses: ["10.0.0.7", "fd00::7"] });
  assert.match(
    addresses.allocate("b", { addresses: ["10.0.0.8", "fd00::7"] }),
    /^already_exists: .*"fd00::7".*"a"/,
  );
  assert.equal(addresses.pool.get(owner("b")), undefined);
  assert.equal(
    addresses.pool.poolOf(parseAddress("10.0.0.8"))!
      .holderOf(parseAddress("10.0.0.8")),
    undefined,
  );
});

Deno.test("planAllocation() refuses two addresses of one subnet", () => {
  const addresses = new Addresses(["10.0.0.0/24"]);
  assert.match(
    addresses.allocate("a", { addresses: ["10.0.0.8", "10.0.0.9"] }),
    /^invalid_argument: .*one address of 10\.0\.0\.0\/24/,
  );
});

Deno.test("planAllocation() keeps no IPv4 address when IPv6 is exhausted", () => {
  const addresses = new Addresses(["10.0.0.0/24", "fd00::/126"]);
  assert.equal(addresses.allocate("a"), "10.0.0.2 fd00::2");
  assert.equal(addresses.allocate("b"), "10.0.0.3 fd00::3");
  assert.match(addresses.allocate("c"), /^exhausted: .*fd00::\/126/);
  assert.equal(addresses.pool.subnets[0]!.heldCount, 2);
});

Deno.test("planAllocation() leaves a cooling address until it has cooled down", () => {
  const addresses = new Addresses(["192.168.1.0/29"], 1000);
  for (const id of ["a", "b", "c", "d", "e"]) addresses.allocate(id);
  addresses.release("b", 100);
  addresses.release("c", 50);
  addresses.release("d", 2000);
  assert.equal(addresses.allocate("f", { nowMs: 2000 }), "192.168.1.3");
  assert.equal(addresses.allocate("g", { nowMs: 2000 }), "192.168.1.4");
  assert.equal(addresses.pool.subnets[0]!.coolingCount, 1);
});

Deno.test("planAllocation() gives the address that has cooled longest rather than fail", () => {
  const addresses = new Addresses(["192.168.1.0/29"], 60_000);
  for (const id of ["a", "b", "c", "d", "e"]) addresses.allocate(id);
  addresses.release("d", 1);
  addresses.release("b", 2);
  addresses.release("b", 3);
  assert.equal(addresses.allocate("f", { nowMs: 4 }), "192.168.1.5");
  assert.equal(addresses.allocate("g", { nowMs: 4 }), "192.168.1.3");
  assert.match(addresses.allocate("h", { nowMs: 4 }), /^exhausted/);
});

Deno.test("planAllocation() gives a requested address although it cools", () => {
  const addresses = new Addresses(["192.168.1.0/29"], 60_000);
  addresses.allocate("a");
  addresses.release("a");
  assert.equal(
    addresses.allocate("b", { addresses: ["192.168.1.2"] }),
    "192.168.1.2",
  );
});

Deno.test("planThaw() frees four addresses at a time", () => {
  const addresses = new Addresses(["10.0.0.0/24"], 60_000);
  addresses.walk(10);
  for (let i = 0; i < 10; i++) addresses.release(`walk${i}`);
  assert.equal(planThaw(addresses.pool, 59_999, 60_000).length, 0);
  assert.equal(planThaw(addresses.pool, 60_000, 60_000).length, 4);
});
