import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addressBits,
  formatAddress,
  parseAddress,
  quote,
} from "../../src/net/address.ts";
import {
  addressAt,
  capacityOf,
  comparePrefixes,
  containsAddress,
  containsPrefix,
  exclusionOf,
  formatPrefix,
  gatewayOf,
  lastAddress,
  nextHopBlock,
  overlaps,
  parseInterfaceAddress,
  parseNetwork,
  parsePrefix,
  prefixOf,
  prefixSize,
  specialBlockOf,
  usableRange,
} from "../../src/net/prefix.ts";
import { anyAddress, anyFamily, anyPrefix } from "./arbitraries.ts";
import { longestSubnetPrefix } from "../../src/net/carve.ts";

Deno.test("parsePrefix() reads prefixes, formatPrefix() writes them canonically", async (t) => {
  const rows: readonly [text: string, canonical: string][] = [
    ["172.16.0.0/12", "172.16.0.0/12"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["192.0.2.1/32", "192.0.2.1/32"],
    ["FD00::/8", "fd00::/8"],
    ["2001:db8:0:0::/64", "2001:db8::/64"],
    ["::/0", "::/0"],
    ["::1/128", "::1/128"],
    ["::10.0.0.0/104", "::a00:0/104"],
  ];
  for (const [text, canonical] of rows) {
    await t.step(text, () => {
      assert.equal(formatPrefix(parsePrefix(text)), canonical);
    });
  }
});

Deno.test("parsePrefix() refuses host bits and tells the prefix meant", async (t) => {
  const rows: readonly [text: string, meant: string][] = [
    ["192.0.2.12/24", "192.0.2.0/24"],
    ["192.168.127.0/23", "192.168.126.0/23"],
    ["2001:db8:24:19ff::/63", "2001:db8:24:19fe::/63"],
    ["10.0.0.1/0", "0.0.0.0/0"],
    ["10.0.0.1/31", "10.0.0.0/31"],
    ["255.255.255.255/1", "128.0.0.0/1"],
    ["::1/127", "::/127"],
    ["fe80::1/64", "fe80::/64"],
  ];
  for (const [text, meant] of rows) {
    await t.step(text, () => {
      assert.throws(() => parsePrefix(text), {
        name: "RangeError",
        message: `"${text}" has host bits set: the prefix would be "${meant}"`,
      });
    });
  }
});

Deno.test("parsePrefix() and parseInterfaceAddress() refuse what is no prefix", async (t) => {
  const rows: readonly [text: string, message: RegExp][] = [
    ["", /^"" is not a prefix: write an address, "\/" and a prefix length/],
    ["/", /is not a prefix/],
    ["/24", /^"\/24" is not a prefix/],
    ["10.0.0.0", /is not a prefix/],
    ["10.0.0.0/", /is not a prefix/],
    ["10.0.0.0/24abc", /^"10\.0\.0\.0\/24abc" is not a prefix/],
    ["10.0.0.0/33", /the length of an IPv4 prefix is 0 to 32/],
    ["10.0.0.0/128", /the length of an IPv4 prefix is 0 to 32/],
    ["10.0.0.0/999", /the length of an IPv4 prefix is 0 to 32/],
    ["::/129", /the length of an IPv6 prefix is 0 to 128/],
    ["10.0.0.0/024", /is not a prefix/],
    ["10.0.0.0/00", /is not a prefix/],
    ["10.0.0.0/1000", /is not a prefix/],
    ["10.0.0.0/4294967320", /is not a prefix/],
    ["10.0.0.0/-1", /is not a prefix/],
    ["10.0.0.0/+8", /is not a prefix/],
    ["10.0.0.0/8.0", /is not a prefix/],
    ["10.0.0.0/1e1", /is not a prefix/],
    ["10.0.0.0/0x8", /is not a prefix/],
    ["10.0.0.0/ 8", /is not a prefix/],
    ["10.0.0.0/8 ", /is not a prefix/],
    ["10.0.0.0/8\n", /is not a prefix/],
    ["10.0.0.0/８", /is not a prefix/],
    ["10.0.0.0//8", /is not a prefix/],
    ["10.0.0.0/8/8", /is not a prefix/],
    ["10.0.0.0/255.0.0.0", /is not a prefix/],
    ["10.0.0.0\\8", /is not a prefix/],
    [" 10.0.0.0/8", /is not an IP address: remove the spaces/],
    ["10.0.0.0 /8", /is not an IP address: remove the spaces/],
    ["10/8", /is not an IP address/],
    ["10.0/16", /is not an IP address/],
    ["010.0.0.0/8", /is not an IP address/],
    ["0x0a.0.0.0/8", /is not an IP address/],
    ["[fd00::]/8", /is not an IP address/],
    ["fe80::%eth0/64", /zone ids are not supported/],
    ["::ffff:10.0.0.0/104", /is an IPv4-mapped address/],
    ["1".repeat(100_000) + "/8", /is not an IP address/],
    ["10.0.0.0/" + "8".repeat(100_000), /is not a prefix/],
    ["/".repeat(100_000), /is not a prefix/],
  ];
  for (const [text, message] of rows) {
    await t.step(quote(text), () => {
      assert.throws(() => parsePrefix(text), { name: "RangeError", message });
      assert.throws(() => parseInterfaceAddress(text), {
        name: "RangeError",
        message,
      });
    });
  }
});

Deno.test("parseInterfaceAddress() keeps the address and its link's prefix", () => {
  const { address, prefix } = parseInterfaceAddress("172.16.5.1/22");
  assert.equal(formatAddress(address), "172.16.5.1");
  assert.equal(formatPrefix(prefix), "172.16.4.0/22");
});

Deno.test("parsePrefix() reads back every prefix that formatPrefix() wrote", () => {
  fc.assert(
    fc.property(anyPrefix, (prefix) => {
      assert.deepEqual(parsePrefix(formatPrefix(prefix)), prefix);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("prefixOf() clears exactly the host bits", () => {
  fc.assert(fc.property(anyAddress, fc.nat(128), (address, n) => {
    const bits = addressBits(address.family);
    const length = n % (bits + 1);
    const prefix = prefixOf(address, length);
    assert.deepEqual(
      toBinary(prefix, bits),
      toBinary(address, bits).slice(0, length).padEnd(bits, "0"),
    );
    assert.deepEqual(
      toBinary(lastAddress(prefix), bits),
      toBinary(address, bits).slice(0, length).padEnd(bits, "1"),
    );
    assert.equal(prefixSize(prefix), 2n ** BigInt(bits - length));
  }));
});

const RELATIONS: readonly [a: string, b: string, relation: Relation][] = [
  ["10.0.0.0/8", "10.0.0.0/8", "equal"],
  ["10.0.0.0/8", "10.1.0.0/16", "contains"],
  ["10.0.0.0/8", "10.0.0.0/9", "contains"],
  ["10.0.0.0/8", "10.255.255.255/32", "contains"],
  ["172.16.0.0/12", "172.17.0.0/16", "contains"],
  ["0.0.0.0/0", "255.255.255.255/32", "contains"],
  ["::/0", "ffff::/16", "contains"],
  ["fd00::/48", "fd00::/64", "contains"],
  ["10.0.0.0/9", "10.128.0.0/9", "apart"],
  ["10.0.0.0/8", "11.0.0.0/8", "apart"],
  ["10.0.0.0/8", "9.255.255.255/32", "apart"],
  ["2001:db8::/64", "2001:db8:0:1::/64", "apart"],
  ["0.0.0.0/0", "::/0", "apart"],
  ["10.0.0.0/8", "::10.0.0.0/104", "apart"],
  ["::/96", "0.0.0.0/0", "apart"],
];

type Relation = "equal" | "contains" | "apart";

Deno.test("overlaps() and containsPrefix() tell how two prefixes lie", async (t) => {
  for (const [a, b, relation] of RELATIONS) {
    await t.step(`${a} and ${b}: ${relation}`, () => {
      const [outer, inner] = [parsePrefix(a), parsePrefix(b)];
      assert.equal(overlaps(outer, inner), relation !== "apart");
      assert.equal(overlaps(inner, outer), relation !== "apart");
      assert.equal(containsPrefix(outer, inner), relation !== "apart");
      assert.equal(containsPrefix(inner, outer), relation === "equal");
    });
  }
});

Deno.test("overlaps() agrees with comparing first and last addresses", () => {
  // Short prefixes of few values, so that many pairs overlap.
  const near = fc.tuple(anyFamily, fc.nat(7), fc.nat(4))
    .map(([family, top, length]) => {
      const value = BigInt(top) << BigInt(addressBits(family) - 3);
      return prefixOf({ family, value }, length);
    });
  fc.assert(
    fc.property(near, near, (a, b) => {
      const shared = a.family === b.family &&
        a.value <= lastAddress(b).value && b.value <= lastAddress(a).value;
      assert.equal(overlaps(a, b), shared);
      assert.equal(
        containsPrefix(a, b),
        a.family === b.family && a.value <= b.value &&
          lastAddress(a).value >= lastAddress(b).value,
      );
    }),
    { numRuns: 2000 },
  );
});

Deno.test("containsAddress() holds from the first to the last address", async (t) => {
  const rows: readonly [prefix: string, address: string, inside: boolean][] = [
    ["172.16.0.0/22", "172.15.255.255", false],
    ["172.16.0.0/22", "172.16.0.0", true],
    ["172.16.0.0/22", "172.16.3.255", true],
    ["172.16.0.0/22", "172.16.4.0", false],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["0.0.0.0/0", "::", false],
    ["::/0", "0.0.0.0", false],
    ["2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true],
    ["2001:db8::/64", "2001:db8:0:1::", false],
  ];
  for (const [prefix, address, inside] of rows) {
    await t.step(`${address} in ${prefix}: ${inside}`, () => {
      assert.equal(
        containsAddress(parsePrefix(prefix), parseAddress(address)),
        inside,
      );
    });
  }
});

Deno.test("comparePrefixes() orders by family, first address, length", () => {
  const sorted = [
    "0.0.0.0/0",
    "9.0.0.0/8",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.1.0.0/16",
    "::/0",
    "fd00::/8",
    "fd00::/64",
  ];
  assert.deepEqual(
    sorted.toReversed().map(parsePrefix).sort(comparePrefixes)
      .map(formatPrefix),
    sorted,
  );
});

function toBinary({ value }: { readonly value: bigint }, bits: number): string {
  return value.toString(2).padStart(bits, "0");
}

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

const NETWORKS: readonly [cidr: string, name: string][] = [
  ["0.0.0.0/1", "this network"],
  ["127.0.0.0/16", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/8", "multicast"],
  ["240.0.0.0/8", "reserved"],
  ["fe80::/48", "link-local"],
  ["ff00::/16", "multicast"],
];

Deno.test("parseNetwork() refuses networks with a purpose of their own, by name", async (t) => {
  for (const [cidr, name] of NETWORKS) {
    await t.step(cidr, () => {
      assert.throws(() => parseNetwork(cidr), {
        name: "RangeError",
        message: new RegExp(`"${cidr}".*\\(${name}\\)`),
      });
    });
  }
});

const NEXT_HOPS: readonly [address: string, name: string | undefined][] = [
  ["198.18.0.2", undefined],
  ["10.0.0.1", undefined],
  ["fe80::1", undefined],
  ["fd00::1", undefined],
  ["0.0.0.0", "this network"],
  ["127.0.0.1", "loopback"],
  ["255.255.255.255", "reserved"],
  ["::", "unspecified and loopback"],
  ["::1", "unspecified and loopback"],
  ["ff02::1", "multicast"],
];

Deno.test("nextHopBlock() names the block of an address that cannot be a next hop", async (t) => {
  for (const [address, name] of NEXT_HOPS) {
    await t.step(address, () => {
      assert.equal(nextHopBlock(parseAddress(address))?.name, name);
    });
  }
});

Deno.test("specialBlockOf() lets the default route through", () => {
  assert.equal(specialBlockOf(parsePrefix("0.0.0.0/0")), undefined);
  assert.equal(specialBlockOf(parsePrefix("224.1.0.0/16"))?.name, "multicast");
});
