import ipaddr from "ipaddr.js";

/** The two versions of the Internet Protocol. */
export type Family = 4 | 6;

/**
 * An IP address.
 *
 * `value` is the address as an unsigned integer in network byte order:
 * 32 bits for family 4, 128 bits for family 6.
 */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

const DOTTED_QUAD = /^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/;
const COLON_HEX = /^[0-9a-fA-F:]+(?:(?:\d{1,3}\.){3}\d{1,3})?$/;
const MAPPED_PREFIX = 0xffffn << 32n;

/** Number of bits in an address: 32 or 128. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/**
 * Parses an address as RFC 6943 section 3.1.1 calls strict: four decimal
 * numbers without leading zeros, or the text forms of RFC 4291 section 2.2.
 *
 * Zone ids, prefix lengths, surrounding spaces, octal, hexadecimal and short
 * IPv4 forms are refused, and so are IPv4-mapped IPv6 addresses, which would
 * give one address two names.
 *
 * @throws {RangeError} naming the text and what is wrong with it
 */
export function parseAddress(text: string): Address {
  if (DOTTED_QUAD.test(text) && ipaddr.IPv4.isValid(text)) {
    return { family: 4, value: toValue(ipaddr.IPv4.parse(text).octets) };
  }
  if (text.includes(":") && COLON_HEX.test(text) && ipaddr.IPv6.isValid(text)) {
    const value = toValue(ipaddr.IPv6.parse(text).toByteArray());
    if (value >> 32n === MAPPED_PREFIX >> 32n) {
      const inner = formatAddress({ family: 4, value: value & 0xffffffffn });
      throw new RangeError(
        `"${text}" is an IPv4-mapped address: write it as "${inner}"`,
      );
    }
    return { family: 6, value };
  }
  throw new RangeError(`${quote(text)} is not an IP address${hint(text)}`);
}

/** Formats an address canonically: dotted decimal, or RFC 5952. */
export function formatAddress(address: Address): string {
  return address.family === 4
    ? new ipaddr.IPv4(toBytes(address.value, 4)).toString()
    : new ipaddr.IPv6(toBytes(address.value, 16)).toRFC5952String();
}

/** Orders addresses: IPv4 before IPv6, then by value. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/** Quotes a text of unknown origin for a message: short, and without control characters. */
export function quote(text: string): string {
  const short = text.length > 80 ? text.slice(0, 77) + "..." : text;
  return JSON.stringify(short);
}

function hint(text: string): string {
  if (text === "") return ": it is empty";
  if (text !== text.trim()) return ": remove the spaces around it";
  if (text.includes("/")) return ": remove the prefix length";
  if (text.includes("%")) return ": zone ids are not supported";
  if (/^[\d.]+$/.test(text)) {
    return ': write four decimal numbers from 0 to 255 without leading zeros, such as "192.0.2.1"';
  }
  return "";
}

function toValue(bytes: readonly number[]): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function toBytes(value: bigint, length: number): number[] {
  const bytes = new Array<number>(length);
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return bytes;
}
