import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import {
  compareAddresses,
  formatAddress,
  formatHost,
  hostOf,
  isLoopback,
  isThisHost,
  parseAddress,
  quote,
  unmapAddress,
} from "../../src/net/address.ts";
import { run } from "../support/run.ts";
import { CANONICAL, NOT_AN_ADDRESS } from "./address_texts.ts";
import { anyAddress, nearlyAddressText } from "./arbitraries.ts";

Deno.test("formatAddress() gives the canonical form of what parseAddress() read", async (t) => {
  for (const [text, canonical] of CANONICAL) {
    await t.step(text, () => {
      assert.equal(formatAddress(parseAddress(text)), canonical);
      assert.equal(formatAddress(parseAddress(canonical)), canonical);
    });
  }
});

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
  assert.equal(
    quote("a\u202eb\u2028\u{e0001}"),
    String.raw`"a\u202eb\u2028\udb40\udc01"`,
  );
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

Deno.test("isLoopback() knows the addresses that only this host reaches", () => {
  const loopback = ["127.0.0.1", "127.255.255.255", "::1"];
  const others = ["0.0.0.0", "128.0.0.1", "126.255.255.255", "::", "::2"]
    .concat("fe80::1", "127.example", "127.0.0.1.example", "12.7.0.0");
  assert.deepEqual(loopback.filter(isLoopback), loopback);
  assert.deepEqual(others.filter(isLoopback), []);
});

Deno.test("isThisHost() takes localhost and loopback in any form, and no other name", () => {
  const here = ["http://localhost:1", "https://127.0.0.1:9000"]
    .concat("http://[::1]:1", "http://127.1:1", "http://LOCALHOST:1");
  const elsewhere = ["http://198.18.0.1:1", "http://localhost.example:1"]
    .concat("http://[::2]:1", "http://[fd00::1]:1");
  assert.deepEqual(here.filter(isThisHost), here);
  assert.deepEqual(elsewhere.filter(isThisHost), []);
});

Deno.test("hostOf() removes the brackets of IPv6", () => {
  assert.equal(hostOf("https://[fd00::1]:9000"), "fd00::1");
  assert.equal(hostOf("https://node1:9000"), "node1");
});

Deno.test("formatHost() puts IPv6 in brackets", () => {
  assert.equal(formatHost("fd00::1"), "[fd00::1]");
  assert.equal(formatHost("198.18.0.1"), "198.18.0.1");
});

Deno.test("unmapAddress() strips the prefix of a mapped IPv4 address", () => {
  assert.equal(unmapAddress("::ffff:198.18.0.1"), "198.18.0.1");
  assert.equal(unmapAddress("::1"), "::1");
});
