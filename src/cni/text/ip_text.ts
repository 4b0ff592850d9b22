import type { Address } from "../../net/address.ts";

// The grammar is that of src/net/address.ts and a test compares the two; that
// module stands on a package whose loading alone takes as long as the whole
// plugin may.

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const DOTTED_QUAD = new RegExp(`^(?:${OCTET}\\.){3}${OCTET}$`);
const GROUP = /^[0-9a-fA-F]{1,4}$/;
const MAX_TEXT_LENGTH = 45;
const MAPPED_PREFIX = 0xffffn;

/** An address with the length of its link's prefix. */
export interface AddressWithLength {
  readonly address: Address;
  readonly length: number;
}

/** Parses an address strictly, or gives undefined. Zone ids and IPv4-mapped addresses are none. */
export function parseIp(text: string): Address | undefined {
  if (text.length > MAX_TEXT_LENGTH) return undefined;
  if (DOTTED_QUAD.test(text)) return { family: 4, value: quadValue(text) };
  const groups = text.includes(":") ? parseGroups(text) : undefined;
  if (!groups) return undefined;
  const value = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
  return value >> 32n === MAPPED_PREFIX ? undefined : { family: 6, value };
}

/** Parses an address with a prefix length, such as `10.1.2.10/24`, or gives undefined. */
export function parseCidr(text: string): AddressWithLength | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? undefined : parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (!address || !/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined;
  if (Number(length) > addressBits(address)) return undefined;
  return { address, length: Number(length) };
}

/** Whether no bit is set behind the prefix length. */
export function isPrefix({ address, length }: AddressWithLength): boolean {
  return address.value === networkValue({ address, length });
}

/** Whether an address lies in the prefix of another. */
export function isInside(
  address: Address,
  { address: base, length }: AddressWithLength,
): boolean {
  return address.family === base.family &&
    networkValue({ address, length }) ===
      networkValue({ address: base, length });
}

/** Whether two addresses are one. */
export function isSameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

/** The first address behind a prefix's own: the gateway of a subnet. Not in its shortest form. */
export function formatFirst(cidr: AddressWithLength): string {
  const value = networkValue(cidr) + 1n;
  const [count, bits, base, separator] = cidr.address.family === 4
    ? [4, 8n, 10, "."] as const
    : [8, 16n, 16, ":"] as const;
  return Array.from({ length: count }, (_, index) => {
    const shift = BigInt(count - 1 - index) * bits;
    return ((value >> shift) & ((1n << bits) - 1n)).toString(base);
  }).join(separator);
}

function networkValue({ address, length }: AddressWithLength): bigint {
  const hostBits = BigInt(addressBits(address) - length);
  return (address.value >> hostBits) << hostBits;
}

function addressBits(address: Address): number {
  return address.family === 4 ? 32 : 128;
}

function quadValue(text: string): bigint {
  return text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

/** The eight groups of an IPv6 address (RFC 4291 section 2.2). */
function parseGroups(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) =>
    half === "" ? [] : parseHalf(half, index === halves.length - 1)
  );
  if (!head) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  if (!tail || head.length + tail.length > 7) return undefined;
  const zeros = new Array<number>(8 - head.length - tail.length).fill(0);
  return [...head, ...zeros, ...tail];
}

function parseHalf(text: string, isLast: boolean): number[] | undefined {
  const parts = text.split(":");
  const quad = isLast && DOTTED_QUAD.test(parts.at(-1)!)
    ? quadValue(parts.pop()!)
    : undefined;
  if (!parts.every((part) => GROUP.test(part))) return undefined;
  const groups = parts.map((part) => parseInt(part, 16));
  return quad === undefined
    ? groups
    : [...groups, Number(quad >> 16n), Number(quad & 0xffffn)];
}
