import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatFirst,
  isInside,
  isPrefix,
  isSameAddress,
  parseCidr,
  parseIp,
} from "../../../src/cni/text/ip_text.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../../src/net/address.ts";
import {
  containsAddress,
  formatPrefix,
  parseInterfaceAddress,
  parsePrefix,
} from "../../../src/net/prefix.ts";
import { gatewayOf } from "../../../src/net/subnet.ts";
import { CANONICAL, NOT_AN_ADDRESS } from "../../net/address_texts.ts";
import {
  anyAddress,
  anyPrefix,
  nearlyAddressText,
} from "../../net/arbitraries.ts";

/** What a parser of src/net makes of a text; undefined where it throws. */
function orUndefined<T>(parse: (text: string) => T, text: string) {
  try {
    return parse(text);
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error));
    return undefined;
  }
}

Deno.test("parseIp() reads what parseAddress() of net reads, and refuses what it refuses", async (t) => {
  const texts = [...CANONICAL.map(([text]) => text), ...NOT_AN_ADDRESS];
  for (
    const text of [...texts, "::ffff:1.2.3.4", "1.2.3.4::", ":::", "::1::"]
  ) {
    await t.step(JSON.stringify(text), () => {
      assert.deepEqual(parseIp(text), orUndefined(parseAddress, text));
    });
  }
  fc.assert(
    fc.property(nearlyAddressText, (text) => {
      assert.deepEqual(parseIp(text), orUndefined(parseAddress, text));
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(anyAddress, (address) => {
    assert.deepEqual(parseIp(formatAddress(address)), address);
  }));
});

Deno.test("parseCidr() reads what parseInterfaceAddress() of net reads, and refuses what it refuses", () => {
  const length = fc.constantFrom("0", "8", "22", "32", "33", "64", "128", "129")
    .map((text) => `/${text}`);
  const tail = fc.oneof(length, fc.constantFrom("", "/", "/08", "/8x", "/-1"));
  fc.assert(
    fc.property(nearlyAddressText, tail, (text, tail) => {
      const known = orUndefined(parseInterfaceAddress, text + tail);
      assert.deepEqual(
        parseCidr(text + tail),
        known && { address: known.address, length: known.prefix.length },
      );
    }),
    { numRuns: 2000 },
  );
});

Deno.test("isPrefix() and isInside() agree with net", () => {
  fc.assert(fc.property(anyPrefix, anyAddress, (prefix, address) => {
    const cidr = parseCidr(formatPrefix(prefix))!;
    assert.ok(isPrefix(cidr));
    assert.ok(isInside(cidr.address, cidr));
    assert.equal(isInside(address, cidr), containsAddress(prefix, address));
    const other: Address = { ...cidr.address, value: cidr.address.value + 1n };
    const text = `${formatAddress(other)}/${prefix.length}`;
    assert.equal(
      isPrefix(parseCidr(text)!),
      orUndefined(parsePrefix, text) !== undefined,
    );
  }));
});

Deno.test("formatFirst() gives the gateway of a subnet, in some form", async (t) => {
  for (const subnet of ["172.16.0.0/22", "10.0.3.0/24", "fd00:1::/64"]) {
    await t.step(subnet, () => {
      const gateway = parseIp(formatFirst(parseCidr(subnet)!))!;
      assert.ok(isSameAddress(gateway, gatewayOf(parsePrefix(subnet))));
    });
  }
});
