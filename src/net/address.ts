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

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const DOTTED_QUAD = new RegExp(`^(?:${OCTET}\\.){3}${OCTET}$`);
const COLON_HEX = /^[0-9a-fA-F:]+$/;
/** Length of the longest text form: six groups of hex, then a dotted quad. */
const MAX_TEXT_LENGTH = 45;
const MAPPED_PREFIX = 0xffffn;

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
  const address = text.length > MAX_TEXT_LENGTH
    ? undefined
    : text.includes(":")
    ? parseIPv6(text)
    : parseIPv4(text);
  if (!address) {
    throw new RangeError(`${quote(text)} is not an IP address${hint(text)}`);
  }
  if (address.family === 6 && address.value >> 32n === MAPPED_PREFIX) {
    const inner = formatAddress({
      family: 4,
      value: address.value & 0xffffffffn,
    });
    throw new RangeError(
      `"${text}" is an IPv4-mapped address: write it as "${inner}"`,
    );
  }
  return address;
}

/** Formats an address canonically: dotted decimal, or RFC 5952. */
export function formatAddress(address: Address): string {
  return address.family === 4
    ? formatIPv4(Number(address.value))
    : new ipaddr.IPv6(toGroups(address.value)).toRFC5952String();
}

/** Orders addresses: IPv4 before IPv6, then by value. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/** Quotes a text of unknown origin for a message: short, and without control characters. */
export function quote(text: string): string {
  const short = text.length > 80 ? text.slice(0, 77) + "..." : text;
  // JSON leaves DEL, the C1 controls and what turns text round as they are.
  return escapeUnsafe(JSON.stringify(short));
}

/** Escapes what terminals act on: `\u001b` in place of an escape. */
export function escapeUnsafe(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => char.split("").map(escapeUnit).join(""),
  );
}

function escapeUnit(unit: string): string {
  return "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");
}

// Not with ipaddr.js, which takes ten times as long: an agent that starts reads
// every address that it has given out.
function parseIPv4(text: string): Address | undefined {
  if (!DOTTED_QUAD.test(text)) return undefined;
  let value = 0;
  for (const octet of text.split(".")) value = value * 256 + Number(octet);
  return { family: 4, value: BigInt(value) };
}

function formatIPv4(value: number): string {
  const octets = [value >>> 24, value >>> 16, value >>> 8, value];
  return octets.map((octet) => octet & 0xff).join(".");
}

// ipaddr.js takes the "::192.0.2.1" of RFC 4291 section 2.2 for an IPv4-mapped
// address and lets leading zeros through: it sees groups of hex alone.
function parseIPv6(text: string): Address | undefined {
  let groups = text;
  if (text.includes(".")) {
    const tailAt = text.lastIndexOf(":") + 1;
    const tail = parseIPv4(text.slice(tailAt));
    if (!tail) return undefined;
    groups = text.slice(0, tailAt) + (tail.value >> 16n).toString(16) + ":" +
      (tail.value & 0xffffn).toString(16);
  }
  if (!COLON_HEX.test(groups)) return undefined;
  try {
    return { family: 6, value: toValue(ipaddr.IPv6.parse(groups).parts) };
  } catch {
    return undefined;
  }
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

function toValue(groups: readonly number[]): bigint {
  let value = 0n;
  for (const group of groups) value = (value << 16n) | BigInt(group);
  return value;
}

function toGroups(value: bigint): number[] {
  const groups = new Array<number>(8);
  for (let i = 7; i >= 0; i--) {
    groups[i] = Number(value & 0xffffn);
    value >>= 16n;
  }
  return groups;
}

const MAPPED = "::ffff:";

/** The host of a URL: a name, or an address without the brackets of IPv6. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Whether only this host can reach a canonical address: `127.0.0.0/8` or `::1` (RFC 6890). */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^127(?:\.\d{1,3}){3}$/.test(address);
}

/** Whether a URL leads to this host: `localhost` or a loopback address. Other names are not looked up. */
export function isThisHost(url: string): boolean {
  const host = hostOf(url);
  return host === "localhost" || isLoopback(host);
}

/** A host as a URL has it: an IPv6 address in brackets. */
export function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** A peer's address without the prefix that a socket of both families puts before IPv4 (RFC 4291 section 2.5.5.2). */
export function unmapAddress(text: string): string {
  return text.startsWith(MAPPED) ? text.slice(MAPPED.length) : text;
}
