import assert from "node:assert/strict";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { longestSubnetPrefix } from "../../src/net/carve.ts";
import { parsePrefix, prefixOf, prefixSize } from "../../src/net/prefix.ts";
import {
  addressAt,
  capacityOf,
  exclusionOf,
  gatewayOf,
  usableRange,
} from "../../src/net/subnet.ts";
import { anyAddress } from "./arbitraries.ts";

Deno.test("usableRange(), capacityOf() and gatewayOf() of a subnet", async (t) => {
  const rows: readonly {
    readonly subnet: string;
    readonly gateway: string;
    readonly first: string;
    readonly last: string;
    readonly capacity: bigint;
  }[] = [
    {
      subnet: "192.168.1.0/29",
      gateway: "192.168.1.1",
      first: "192.168.1.2",
      last: "192.168.1.6",
      capacity: 5n,
    },
    {
      subnet: "172.16.0.0/22",
      gateway: "172.16.0.1",
      first: "172.16.0.2",
      last: "172.16.3.254",
      capacity: 1021n,
    },
    {
      subnet: "172.16.0.64/26",
      gateway: "172.16.0.65",
      first: "172.16.0.66",
      last: "172.16.0.126",
      capacity: 61n,
    },
    {
      subnet: "10.0.0.0/30",
      gateway: "10.0.0.1",
      first: "10.0.0.2",
      last: "10.0.0.2",
      capacity: 1n,
    },
    {
      subnet: "255.255.255.0/24",
      gateway: "255.255.255.1",
      first: "255.255.255.2",
      last: "255.255.255.254",
      capacity: 253n,
    },
    {
      subnet: "2001:db8:1::/64",
      gateway: "2001:db8:1::1",
      first: "2001:db8:1::2",
      last: "2001:db8:1:0:ffff:ffff:ffff:ffff",
      capacity: 2n ** 64n - 2n,
    },
    {
      subnet: "fd00::/126",
      gateway: "fd00::1",
      first: "fd00::2",
      last: "fd00::3",
      capacity: 2n,
    },
  ];
  for (const { subnet: text, gateway, first, last, capacity } of rows) {
    await t.step(text, () => {
      const subnet = parsePrefix(text);
      const range = usableRange(subnet);
      assert.equal(formatAddress(gatewayOf(subnet)), gateway);
      assert.equal(formatAddress(addressAt(subnet, range.first)), first);
      assert.equal(formatAddress(addressAt(subnet, range.last)), last);
      assert.equal(capacityOf(subnet), capacity);
    });
  }
});

Deno.test("capacityOf() is 0 for what is too small to be a subnet", async (t) => {
  for (const text of ["10.0.0.0/31", "10.0.0.0/32", "fd00::/127", "::1/128"]) {
    await t.step(text, () => {
      assert.equal(capacityOf(parsePrefix(text)), 0n);
    });
  }
});

Deno.test("exclusionOf() names why an address is never given out", async (t) => {
  const rows: readonly [
    subnet: string,
    address: string,
    why: ReturnType<typeof exclusionOf>,
  ][] = [
    ["172.16.0.64/26", "172.16.0.64", "network address"],
    ["172.16.0.64/26", "172.16.0.65", "gateway"],
    ["172.16.0.64/26", "172.16.0.66", undefined],
    ["172.16.0.64/26", "172.16.0.126", undefined],
    ["172.16.0.64/26", "172.16.0.127", "broadcast address"],
    ["172.16.0.0/22", "172.16.0.255", undefined],
    ["172.16.0.0/22", "172.16.1.0", undefined],
    ["172.16.0.0/22", "172.16.1.1", undefined],
    ["172.16.0.0/22", "172.16.3.255", "broadcast address"],
    ["2001:db8::/64", "2001:db8::", "subnet-router anycast address"],
    ["2001:db8::/64", "2001:db8::1", "gateway"],
    ["2001:db8::/64", "2001:db8::2", undefined],
    ["2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", undefined],
  ];
  for (const [subnet, address, why] of rows) {
    await t.step(`${address} of ${subnet}: ${why ?? "usable"}`, () => {
      assert.equal(
        exclusionOf(parsePrefix(subnet), parseAddress(address)),
        why,
      );
    });
  }
});

Deno.test("usableRange() leaves out exactly what exclusionOf() names", () => {
  const small = fc.tuple(anyAddress, fc.nat(8)).map(([address, n]) =>
    prefixOf(address, longestSubnetPrefix(address.family) - n)
  );
  fc.assert(fc.property(small, (subnet) => {
    const { first, last } = usableRange(subnet);
    let usable = 0n;
    const size = prefixSize(subnet);
    for (let offset = 0n; offset < size; offset++) {
      const free = !exclusionOf(subnet, addressAt(subnet, offset));
      assert.equal(free, offset >= first && offset <= last, String(offset));
      usable += free ? 1n : 0n;
    }
    assert.equal(usable, capacityOf(subnet));
    assert.throws(() => addressAt(subnet, size), RangeError);
  }));
});

Deno.test("addressAt() refuses an offset outside the subnet", async (t) => {
  const rows: readonly [subnet: string, offset: bigint][] = [
    ["10.0.0.0/24", -1n],
    ["10.0.0.0/24", 256n],
    ["0.0.0.0/24", -1n],
    ["255.255.255.0/24", 256n],
    ["2001:db8::/64", -1n],
    ["2001:db8::/64", 2n ** 64n],
    ["::/64", -1n],
    ["ffff:ffff:ffff:ffff::/64", 2n ** 64n],
  ];
  for (const [text, offset] of rows) {
    await t.step(`${text} at ${offset}`, () => {
      assert.throws(() => addressAt(parsePrefix(text), offset), {
        name: "RangeError",
        message: `"${text}" has no address at offset ${offset}`,
      });
    });
  }
});
