import fc from "fast-check";
import {
  type Address,
  addressBits,
  type Family,
} from "../../src/net/address.ts";
import { type Prefix, prefixOf } from "../../src/net/prefix.ts";

/** Either version of the Internet Protocol. */
export const anyFamily: fc.Arbitrary<Family> = fc.constantFrom(4, 6);

/** Any address but the IPv4-mapped ones, which have no text form of their own. */
export const anyAddress: fc.Arbitrary<Address> = anyFamily.chain(addressOf);

/** Any prefix of either family, host bits cleared. */
export const anyPrefix: fc.Arbitrary<Prefix> = anyAddress.chain((address) =>
  fc.integer({ min: 0, max: addressBits(address.family) })
    .map((length) => prefixOf(address, length))
    .filter(({ family, value }) => family === 4 || value >> 32n !== 0xffffn)
);

/** Four decimal numbers, few of them out of range or with leading zeros. */
const anyIPv4Text: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.nat(255).map(String) },
    { weight: 1, arbitrary: fc.nat(999).map((n) => `0${n}`) },
    { weight: 1, arbitrary: fc.integer({ min: 256, max: 999 }).map(String) },
  ),
  { minLength: 3, maxLength: 5, size: "max" },
).map((octets) => octets.join("."));

/** Groups of hex with "::" and a dotted quad anywhere, most of them well-formed. */
const anyIPv6Text: fc.Arbitrary<string> = fc.record({
  groups: fc.array(
    fc.oneof(
      fc.constant("0"),
      fc.nat(0xffff).map((n) => n.toString(16)),
      fc.nat(0xffff).map((n) => n.toString(16).padStart(4, "0").toUpperCase()),
    ),
    { minLength: 1, maxLength: 9, size: "max" },
  ),
  gap: fc.option(fc.nat(9)),
  tail: fc.option(anyIPv4Text, { freq: 3 }),
}).map(({ groups, gap, tail }) => {
  const all = tail === null ? groups : [...groups, tail];
  if (gap === null) return all.join(":");
  return `${all.slice(0, gap).join(":")}::${all.slice(gap).join(":")}`;
});

/** Text that is an address, or is nearly one. */
export const nearlyAddressText: fc.Arbitrary<string> = fc.oneof(
  anyIPv4Text,
  anyIPv6Text,
  fc.oneof(anyIPv4Text, anyIPv6Text).chain(mutated),
);

function addressOf(family: Family): fc.Arbitrary<Address> {
  const max = (1n << BigInt(addressBits(family))) - 1n;
  // Runs of zeros are what IPv6 text is about: clear some of the groups.
  return fc.tuple(fc.bigInt({ min: 0n, max }), fc.nat(255))
    .map(([value, zeros]) => {
      for (let group = 0; group < 8 && family === 6; group++) {
        if (zeros & (1 << group)) value &= ~(0xffffn << BigInt(group * 16));
      }
      return { family, value };
    })
    .filter(({ value }) => family === 4 || value >> 32n !== 0xffffn);
}

/** The text with one or two characters inserted, replaced or deleted. */
function mutated(text: string): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.nat(text.length),
    remove: fc.nat(1),
    insert: fc.constantFrom(..." 019afxXg:.%/[]+-_\n\0٣５", "", "::", "0x"),
  });
  return fc.array(edit, { minLength: 1, maxLength: 2 }).map((edits) =>
    edits.reduce(
      (t, { at, remove, insert }) =>
        t.slice(0, at) + insert + t.slice(at + remove),
      text,
    )
  );
}
