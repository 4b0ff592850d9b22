import { readDurationMs } from "../../base/duration.ts";
import type { ListenAddress } from "../../config/config.ts";
import {
  type Address,
  addressBits,
  formatAddress,
  parseAddress,
  quote,
} from "../../net/address.ts";
import { formatPrefix, parsePrefix, specialBlockOf } from "../../net/prefix.ts";

// Parsers of flags and operands. Each throws a RangeError that quotes the text
// and says what is valid; the caller prepends the flag's name.

/** Four times the silence after which a node counts as unreachable. */
const MIN_RECLAIM_MS = 60_000;
const MAX_DURATION_MS = 36_500 * 86_400_000;
/** Bytes of `sun_path` without its closing zero, unix(7). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Parses a duration such as `500ms`, `60s`, `30m`, `24h` or `7d`, into ms: at most 100 years. */
export function parseDuration(text: string): number {
  const ms = readDurationMs(text);
  if (ms === undefined) {
    throw new RangeError(
      `${quote(text)} is not a duration: ` +
        `write a whole number and a unit (ms, s, m, h or d), such as "60s"`,
    );
  }
  if (ms > MAX_DURATION_MS) {
    throw new RangeError(`${quote(text)} is too long: the maximum is "36500d"`);
  }
  return ms;
}

/** Parses a timeout or interval: at least 1 ms, at most a day. */
export function parseTimeout(text: string): number {
  const ms = parseDuration(text);
  if (ms < 1 || ms > 86_400_000) {
    throw new RangeError(
      `${quote(text)} is not between "1ms" and "1d"`,
    );
  }
  return ms;
}

/** Parses the silence after which a node is removed: at least a minute. */
export function parseReclaim(text: string): number {
  const ms = parseDuration(text);
  if (ms >= MIN_RECLAIM_MS) return ms;
  throw new RangeError(
    `${
      quote(text)
    } is too short: a silent node counts as unreachable after 15s, ` +
      `so the minimum is "1m"`,
  );
}

/** Parses an address to listen on: `127.0.0.1:9000` or `[::1]:9000`. Port 0 takes a free one. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(0|[1-9]\d{0,4})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) {
    throw new RangeError(
      `${quote(text)} is not an address and a port: ` +
        `write it as "127.0.0.1:9000" or "[::1]:9000"`,
    );
  }
  if (host === "") {
    throw new RangeError(
      `${quote(text)} has no address: write "0.0.0.0:${match[3]}" or "[::]:${
        match[3]
      }" for all`,
    );
  }
  const port = Number(match[3]);
  if (port > 65_535) {
    throw new RangeError(`${quote(text)} has no port: it is 0 to 65535`);
  }
  const address = parseAddress(host);
  const isBracketed = match[1] !== undefined;
  if (isBracketed !== (address.family === 6)) {
    throw new RangeError(
      `${quote(text)} has brackets around an IPv4 address: remove them`,
    );
  }
  return { hostname: formatAddress(address), port };
}

/** Formats an address as `parseListen` reads it. */
export function formatListen(listen: ListenAddress): string {
  const { hostname, port } = listen;
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** Parses an address into its canonical text. */
export function parseAddressText(text: string): string {
  return formatAddress(parseAddress(text));
}

/** Parses an address that other hosts use as next hop. */
export function parseAdvertised(text: string): Address {
  const address = parseAddress(text);
  const block = specialBlockOf({
    ...address,
    length: addressBits(address.family),
  });
  if (!block) return address;
  throw new RangeError(
    `${quote(text)} cannot be a next hop for other hosts: it lies in ${
      formatPrefix(block.prefix)
    } (${block.name})`,
  );
}

/** Parses a prefix into its canonical text. */
export function parsePrefixText(text: string): string {
  return formatPrefix(parsePrefix(text));
}

export function parsePath(text: string): string {
  if (text === "") throw new RangeError(`"" is not a path: it is empty`);
  if (text.includes("\0")) {
    throw new RangeError(`${quote(text)} is not a path: it has a zero byte`);
  }
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) {
    throw new RangeError(
      `${quote(text)} is not a path: it has a control character`,
    );
  }
  return text;
}

/** Parses the path of a unix socket. */
export function parseSocketPath(text: string): string {
  const bytes = new TextEncoder().encode(parsePath(text)).length;
  if (bytes <= MAX_SOCKET_PATH_BYTES) return text;
  throw new RangeError(
    `${quote(text)} has ${bytes} bytes: ` +
      `the path of a socket has at most ${MAX_SOCKET_PATH_BYTES}`,
  );
}

/** Parses a group of the host: its name (group(5)), or its number. */
export function parseGroup(text: string): string {
  if (/^(?:[a-z_][a-z0-9_-]{0,31}|0|[1-9]\d{0,9})$/i.test(text)) return text;
  throw new RangeError(
    `${
      quote(text)
    } is not a group: write its name, such as "adm", or its number`,
  );
}

/** Makes a parser of whole numbers in decimal, `min` and `max` included. */
export function parseInteger(
  min: number,
  max: number,
): (text: string) => number {
  return (text) => {
    const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new RangeError(
      `${quote(text)} is not a whole number from ${min} to ${max}`,
    );
  };
}

/** Makes a parser of one of several words. */
export function parseChoice<const T extends string>(
  choices: readonly T[],
): (text: string) => T {
  return (text) => {
    const choice = choices.find((known) => known === text);
    if (choice !== undefined) return choice;
    throw new RangeError(
      `${quote(text)} is not known: choose ${choices.join(", ")}`,
    );
  };
}

/** Parses the value of a switch in the environment. */
export function parseSwitch(text: string): boolean {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new RangeError(
    `${quote(text)} is neither on nor off: write "true" or "false"`,
  );
}

/** @throws {RangeError} when a path is relative */
export function parseAbsolutePath(text: string): string {
  const path = parsePath(text);
  if (!path.startsWith("/") || /(?:^|\/)\.\.?(?:\/|$)/.test(path)) {
    throw new RangeError(
      `${quote(text)} is not an absolute path without "." and ".."`,
    );
  }
  return path.replace(/\/+$/, "") || "/";
}
