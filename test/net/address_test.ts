import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import {
  compareAddresses,
  formatAddress,
  parseAddress,
  quote,
} from "../../src/net/address.ts";
import { run } from "../support/run.ts";
import { anyAddress, nearlyAddressText } from "./arbitraries.ts";

const CANONICAL: readonly [text: string, canonical: string][] = [
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["172.16.0.1", "172.16.0.1"],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  // The longest text form there is.
  [
    "2001:0db8:aaaa:bbbb:cccc:dddd:255.255.255.255",
    "2001:db8:aaaa:bbbb:cccc:dddd:ffff:ffff",
  ],
  // RFC 4291 section 2.2
  [
    "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
    "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
  ],
  ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
  ["FF01:0:0:0:0:0:0:101", "ff01::101"],
  ["::13.1.68.3", "::d01:4403"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  // RFC 5952 section 4.1: no leading zeros
  ["2001:0db8::0001", "2001:db8::1"],
  // RFC 5952 section 4.2.1: as short as possible
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
  ["2001:db8::0:1", "2001:db8::1"],
  // RFC 5952 section 4.2.2: a single group of zeros stays
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  // RFC 5952 section 4.2.3: the longest run of zeros, the first of equal ones
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["0:0:1:0:0:1:0:0", "::1:0:0:1:0:0"],
  // RFC 5952 section 4.3: lower case
  ["2001:DB8::AAAA", "2001:db8::aaaa"],
];

Deno.test("formatAddress() gives the canonical form of what parseAddress() read", async (t) => {
  for (const [text, canonical] of CANONICAL) {
    await t.step(text, () => {
      assert.equal(formatAddress(parseAddress(text)), canonical);
      assert.equal(formatAddress(parseAddress(canonical)), canonical);
    });
  }
});

const NOT_AN_ADDRESS: readonly string[] = [
  "",
  " ",
  ".",
  "...",
  "1..2.3",
  "1.2.3",
  "1.2.3.",
  ".1.2.3",
  "1.2.3.4.5",
  "1.2.3.4.",
  " 1.2.3.4",
  "1.2.3.4 ",
  "1.2.3.4\n",
  "\n1.2.3.4",
  "1.2.3.4\0",
  "1.2. 3.4",
  "1,2,3,4",
  // Short, whole-number, octal and hexadecimal forms, as inet_aton() reads them.
  "1",
  "127.1",
  "127.0.1",
  "3232235521",
  "4294967295",
  "4294967296",
  "01.2.3.4",
  "1.2.3.04",
  "1.2.3.00",
  "0177.0.0.1",
  "08.1.1.1",
  "0x10.0.0.1",
  "0X10.0.0.1",
  "0x7f000001",
  "1e1.0.0.0",
  "1_0.0.0.1",
  "a.b.c.d",
  // Numbers out of range, signs, fractions.
  "256.0.0.0",
  "1.2.3.256",
  "1.2.3.999",
  "1.2.3.1000",
  "1.2.3.4294967296",
  "-1.2.3.4",
  "+1.2.3.4",
  "1.2.3.-4",
  // Digits and separators of other scripts.
  "１.２.３.４",
  "1。2。3。4",
  "١.٢.٣.٤",
  "：：1",
  // What stands around addresses.
  "1.2.3.4/24",
  "fe80::1/64",
  "1.2.3.4:80",
  "[::1]",
  "[::1]:80",
  "::1%eth0",
  "fe80::1%1",
  "::1%",
  " ::1",
  "::1 ",
  "::1\n",
  "localhost",
  "<nil>",
  "null",
  "undefined",
  // Groups too many, too few, too long, empty.
  ":",
  ":::",
  "::::",
  "1::2::3",
  "::1::",
  "1:::2",
  ":1",
  "1:",
  ":1::2",
  "1::2:",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:",
  ":2:3:4:5:6:7:8",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8::",
  "::1:2:3:4:5:6:7:8",
  "1:2:3:4::5:6:7:8",
  "12345::",
  "::12345",
  "::00001",
  "::fffff",
  "1zz::1",
  "::g",
  "0x1::",
  "::-1",
  // A dotted quad that is wrong, or in the wrong place.
  "::1.2.3",
  "::1.2.3.4.5",
  "::1.2.3.256",
  "::01.2.3.4",
  "::1.2.3.04",
  "64:ff9b::0001.2.3.4",
  "64:ff9b::0x1.2.3.4",
  "64:ff9b::1a.2.3.4",
  "::1.2.3.4:5",
  "1.2.3.4::",
  "1.2.3.4::5",
  ":1.2.3.4",
  "1:2:3:4:5:1.2.3.4",
  "1:2:3:4:5:6:7:1.2.3.4",
  "1:2:3:4:5:6::1.2.3.4",
  // Long texts.
  "1.".repeat(100_000),
  "1".repeat(100_000),
  "0".repeat(100_000) + "1.2.3.4",
  "1:".repeat(100_000),
  ":".repeat(100_000),
  "::" + "0".repeat(100_000) + "1",
  "f".repeat(100_000) + "x",
];

Deno.test("parseAddress() refuses what is no address and names it", async (t) => {
  for (const text of NOT_AN_ADDRESS) {
    await t.step(quote(text), () => {
      assert.throws(() => parseAddress(text), (error) => {
        assert.ok(error instanceof RangeError);
        assert.ok(error.message.startsWith(`${quote(text)} is not an IP`));
        return true;
      });
    });
  }
});

Deno.test("parseAddress() refuses IPv4-mapped addresses with the address meant", async (t) => {
  const texts = [
    "::ffff:1.2.3.4",
    "::FFFF:1.2.3.4",
    "::ffff:102:304",
    "0:0:0:0:0:ffff:0102:0304",
    "0::ffff:1.2.3.4",
  ];
  for (const text of texts) {
    await t.step(text, () => {
      assert.throws(() => parseAddress(text), {
        name: "RangeError",
        message: `"${text}" is an IPv4-mapped address: write it as "1.2.3.4"`,
      });
    });
  }
});

Deno.test("parseAddress() says how to put it right", async (t) => {
  const hints: readonly [text: string, message: string][] = [
    ["", '"" is not an IP address: it is empty'],
    [
      "1.2.3.4 ",
      '"1.2.3.4 " is not an IP address: remove the spaces around it',
    ],
    [
      "fe80::1/64",
      '"fe80::1/64" is not an IP address: remove the prefix length',
    ],
    [
      "::1%eth0",
      '"::1%eth0" is not an IP address: zone ids are not supported',
    ],
    [
      "01.2.3.4",
      '"01.2.3.4" is not an IP address: write four decimal numbers from 0 to 255 without leading zeros, such as "192.0.2.1"',
    ],
  ];
  for (const [text, message] of hints) {
    await t.step(quote(text), () => {
      assert.throws(() => parseAddress(text), { name: "RangeError", message });
    });
  }
});

Deno.test("parseAddress() reads back every address that formatAddress() wrote", () => {
  fc.assert(
    fc.property(anyAddress, (address) => {
      assert.deepEqual(parseAddress(formatAddress(address)), address);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseAddress() accepts nothing that node:net refuses", () => {
  let accepted = 0;
  for (const text of fc.sample(nearlyAddressText, 5000)) {
    const read = tryParse(text);
    const known = isIPv4(text) ? 4 : isIPv6(text) ? 6 : undefined;
    assert.ok(read === undefined || read.family === known, quote(text));
    accepted += read ? 1 : 0;
  }
  assert.ok(accepted > 500, `only ${accepted} texts were addresses`);
});

Deno.test("parseAddress() and formatAddress() agree with Python's ipaddress", async () => {
  const texts = [
    ...CANONICAL.flat(),
    ...NOT_AN_ADDRESS,
    ...fc.sample(anyAddress, 2000).map(formatAddress),
    ...fc.sample(nearlyAddressText, 4000),
  ];
  const { code, stdout, stderr } = await run(
    "/usr/bin/python3",
    ["-c", PYTHON_REFERENCE],
    { stdin: JSON.stringify(texts) },
  );
  assert.equal(code, 0, stderr);
  const ours = texts.map((text) => {
    const address = tryParse(text);
    return address && {
      text: formatAddress(address),
      value: String(address.value),
    };
  });
  const theirs: readonly unknown[] = JSON.parse(stdout);
  assert.equal(theirs.length, texts.length);
  texts.forEach((text, i) => {
    assert.deepEqual(ours[i] ?? null, theirs[i], quote(text));
  });
});

Deno.test("compareAddresses() puts IPv4 before IPv6, then the lower value first", () => {
  const sorted = ["0.0.0.0", "9.0.0.0", "10.0.0.0", "255.255.255.255", "::"]
    .concat("::2", "::10", "2001:db8::", "ffff::");
  const addresses = sorted.toReversed().map(parseAddress);
  assert.deepEqual(
    addresses.sort(compareAddresses).map(formatAddress),
    sorted,
  );
  fc.assert(fc.property(anyAddress, anyAddress, (a, b) => {
    assert.equal(
      Math.sign(compareAddresses(a, b)) + Math.sign(compareAddresses(b, a)),
      0,
    );
    assert.equal(compareAddresses(a, { ...a }), 0);
  }));
});

Deno.test("quote() shortens, and escapes what a terminal would act on", () => {
  assert.equal(quote("a\u001b[2Jb"), '"a\\u001b[2Jb"');
  assert.equal(quote("\u007f\u009b1m"), '"\\u007f\\u009b1m"');
  assert.equal(quote('say "hi"'), '"say \\"hi\\""');
  assert.equal(quote("x".repeat(80)), `"${"x".repeat(80)}"`);
  assert.equal(quote("x".repeat(81)), `"${"x".repeat(77)}..."`);
});

/** Reads a JSON list of texts; writes null, or the canonical text and the value of each. */
const PYTHON_REFERENCE = `
import ipaddress, json, sys
def read(text):
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text or getattr(address, "ipv4_mapped", None):
        return None
    return {"text": str(address), "value": str(int(address))}
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
`;

function tryParse(text: string): ReturnType<typeof parseAddress> | undefined {
  try {
    return parseAddress(text);
  } catch (error) {
    assert.ok(error instanceof RangeError);
    return undefined;
  }
}
