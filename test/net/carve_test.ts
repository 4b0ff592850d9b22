import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createCarve,
  sliceAt,
  sliceCount,
  sliceIndex,
} from "../../src/net/carve.ts";
import {
  containsPrefix,
  formatPrefix,
  lastAddress,
  parsePrefix,
  type Prefix,
  prefixOf,
} from "../../src/net/prefix.ts";
import { allSlices, anyCarve, anyNetwork } from "./carves.ts";

Deno.test("createCarve() divides as the defaults and --subnet-prefix say", async (t) => {
  const rows: readonly {
    readonly network: string;
    readonly length?: number;
    readonly count: bigint;
    readonly first: readonly string[];
    readonly last: string;
  }[] = [
    {
      network: "172.16.0.0/12",
      count: 1024n,
      first: ["172.16.0.0/22", "172.16.4.0/22", "172.16.8.0/22"],
      last: "172.31.252.0/22",
    },
    {
      network: "10.0.0.0/8",
      length: 20,
      count: 4096n,
      first: ["10.0.0.0/20", "10.0.16.0/20"],
      last: "10.255.240.0/20",
    },
    {
      network: "10.0.0.0/8",
      count: 1024n,
      first: ["10.0.0.0/18", "10.0.64.0/18"],
      last: "10.255.192.0/18",
    },
    {
      network: "192.168.0.0/20",
      count: 1024n,
      first: ["192.168.0.0/30", "192.168.0.4/30"],
      last: "192.168.15.252/30",
    },
    {
      network: "192.168.0.0/24",
      length: 24,
      count: 1n,
      first: ["192.168.0.0/24"],
      last: "192.168.0.0/24",
    },
    {
      network: "fd00::/48",
      count: 65_536n,
      first: ["fd00::/64", "fd00:0:0:1::/64"],
      last: "fd00:0:0:ffff::/64",
    },
    {
      network: "fd00::/16",
      count: 2n ** 48n,
      first: ["fd00::/64", "fd00:0:0:1::/64"],
      last: "fd00:ffff:ffff:ffff::/64",
    },
    {
      network: "2001:db8:1::/64",
      length: 126,
      count: 2n ** 62n,
      first: ["2001:db8:1::/126", "2001:db8:1::4/126"],
      last: "2001:db8:1:0:ffff:ffff:ffff:fffc/126",
    },
    {
      network: "0.0.0.0/0",
      length: 30,
      count: 2n ** 30n,
      first: ["0.0.0.0/30", "0.0.0.4/30"],
      last: "255.255.255.252/30",
    },
  ];
  for (const { network, length, count, first, last } of rows) {
    await t.step(`${network} into ${last}`, () => {
      const carve = createCarve(parsePrefix(network), length);
      assert.equal(sliceCount(carve), count);
      const slices = first.map((_, i) => sliceAt(carve, BigInt(i)));
      assert.deepEqual(slices.map(formatPrefix), first);
      assert.equal(formatPrefix(sliceAt(carve, count - 1n)), last);
    });
  }
});

Deno.test("createCarve() refuses networks that cannot be divided, and names valid lengths", async (t) => {
  const rows: readonly [
    network: string,
    length: number | undefined,
    message: string,
  ][] = [
    [
      "192.168.0.0/24",
      undefined,
      '"192.168.0.0/24" cannot be divided into subnets of /34: the subnet prefix has to be 25 to 30, "--subnet-prefix 27" would give 8 subnets of /27',
    ],
    [
      "192.168.0.0/21",
      undefined,
      '"192.168.0.0/21" cannot be divided into subnets of /31: the subnet prefix has to be 22 to 30, "--subnet-prefix 26" would give 32 subnets of /26',
    ],
    [
      "10.0.0.0/30",
      undefined,
      '"10.0.0.0/30" cannot be divided into subnets of /40: the subnet prefix has to be 30 to 30, "--subnet-prefix 30" would give 1 subnet of /30',
    ],
    [
      "fd00::/64",
      undefined,
      '"fd00::/64" cannot be divided into subnets of /64: the subnet prefix has to be 65 to 126, "--subnet-prefix 95" would give 2147483648 subnets of /95',
    ],
    [
      "fd00::/80",
      undefined,
      '"fd00::/80" cannot be divided into subnets of /64: the subnet prefix has to be 81 to 126, "--subnet-prefix 103" would give 8388608 subnets of /103',
    ],
    [
      "10.0.0.0/8",
      7,
      '"10.0.0.0/8" cannot be divided into subnets of /7: the subnet prefix has to be 8 to 30, "--subnet-prefix 19" would give 2048 subnets of /19',
    ],
    [
      "10.0.0.0/8",
      31,
      '"10.0.0.0/8" cannot be divided into subnets of /31: the subnet prefix has to be 8 to 30, "--subnet-prefix 19" would give 2048 subnets of /19',
    ],
    [
      "fd00::/48",
      127,
      '"fd00::/48" cannot be divided into subnets of /127: the subnet prefix has to be 48 to 126, "--subnet-prefix 87" would give 549755813888 subnets of /87',
    ],
    [
      "10.0.0.0/31",
      undefined,
      '"10.0.0.0/31" is too small for a network: its prefix length is at most 30',
    ],
    [
      "10.0.0.1/32",
      32,
      '"10.0.0.1/32" is too small for a network: its prefix length is at most 30',
    ],
    [
      "fd00::/127",
      undefined,
      '"fd00::/127" is too small for a network: its prefix length is at most 126',
    ],
    [
      "::1/128",
      undefined,
      '"::1/128" is too small for a network: its prefix length is at most 126',
    ],
  ];
  for (const [network, length, message] of rows) {
    await t.step(`${network} into ${length ?? "the default"}`, () => {
      assert.throws(() => createCarve(parsePrefix(network), length), {
        name: "RangeError",
        message,
      });
    });
  }
  for (const length of [22.5, NaN, Infinity, -1]) {
    await t.step(`172.16.0.0/12 into ${length}`, () => {
      assert.throws(() => createCarve(parsePrefix("172.16.0.0/12"), length), {
        name: "RangeError",
        message: /the subnet prefix has to be 12 to 30/,
      });
    });
  }
});

Deno.test("createCarve() refuses no length that its own refusal proposes", () => {
  const lengths = fc.option(fc.integer({ min: -2, max: 130 }), {
    nil: undefined,
  });
  let refused = 0;
  fc.assert(
    fc.property(anyNetwork, lengths, (network, length) => {
      const proposal = proposalFor(network, length);
      refused += proposal === undefined ? 0 : 1;
      createCarve(network, proposal ?? network.length);
    }),
    { numRuns: 1000 },
  );
  assert.ok(refused > 100, `only ${refused} were refused`);
});

Deno.test("sliceAt() and sliceIndex() are each other's inverse at any size", () => {
  fc.assert(
    fc.property(anyCarve(128), fc.bigInt({ min: 0n }), (carve, n) => {
      const index = n % sliceCount(carve);
      const slice = sliceAt(carve, index);
      assert.equal(sliceIndex(carve, slice), index);
      assert.equal(slice.length, carve.subnetPrefixLength);
      assert.ok(containsPrefix(carve.network, slice));
      assert.equal(prefixOf(slice, slice.length).value, slice.value);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("sliceAt() covers the network in order, without gap or overlap", () => {
  fc.assert(fc.property(anyCarve(8), (carve) => {
    let next = carve.network.value;
    for (const slice of allSlices(carve)) {
      assert.equal(slice.value, next);
      next = lastAddress(slice).value + 1n;
    }
    assert.equal(next, lastAddress(carve.network).value + 1n);
  }));
});

Deno.test("sliceAt() reaches index 2^47 of an IPv6 /16 at once", () => {
  const carve = createCarve(parsePrefix("fd00::/16"));
  const slice = sliceAt(carve, 2n ** 47n);
  assert.equal(formatPrefix(slice), "fd00:8000::/64");
  assert.equal(sliceIndex(carve, slice), 2n ** 47n);
});

Deno.test("sliceAt() refuses an index outside the network", async (t) => {
  const carve = createCarve(parsePrefix("172.16.0.0/12"));
  for (const index of [-1n, 1024n, 2n ** 64n]) {
    await t.step(String(index), () => {
      assert.throws(() => sliceAt(carve, index), {
        name: "RangeError",
        message: `"172.16.0.0/12" has no slice ${index}`,
      });
    });
  }
});

Deno.test("sliceIndex() is undefined for what is not a slice", async (t) => {
  const carve = createCarve(parsePrefix("172.16.0.0/12"));
  const texts = ["172.16.0.0/21", "172.16.0.0/23", "172.16.0.0/12"]
    .concat("172.32.0.0/22", "172.15.252.0/22", "10.0.0.0/22", "fd00::/22");
  for (const text of texts) {
    await t.step(text, () => {
      assert.equal(sliceIndex(carve, parsePrefix(text)), undefined);
    });
  }
});

/** The length that the refusal of a carve proposes; undefined where it is not refused. */
function proposalFor(network: Prefix, length?: number): number | undefined {
  try {
    createCarve(network, length);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof RangeError);
    return Number(/"--subnet-prefix (\d+)"/.exec(error.message)?.[1]);
  }
}
