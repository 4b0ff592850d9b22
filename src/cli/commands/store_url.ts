import type { StoreChoice } from "../../config/config.ts";
import { formatAddress, parseAddress, quote } from "../../net/address.ts";

const DEFAULT_ETCD_PORT = 2379;
const DEFAULT_ETCD_PREFIX = "/stellar-net";
const MAX_PREFIX_LENGTH = 255;
const KNOWN = 'write "kv:" (a file in --state), "kv::memory:" (lost at the ' +
  'end) or "etcd://h1:2379,h2:2379/prefix" ("etcds://" with TLS)';

/** Parses where state is kept. */
export function parseStore(text: string): StoreChoice {
  if (text === "kv:") return "file";
  if (text === "kv::memory:") return "memory";
  if (/^https?:/i.test(text)) {
    throw new RangeError(
      "a Deno KV server (https://) is not supported, because what keeps a registry has not been tried on one: " +
        KNOWN,
    );
  }
  const match = /^(etcds?):\/\/([^/]*)(.*)$/s.exec(text);
  if (!match) throw new RangeError(`${quote(text)} is not a store: ${KNOWN}`);
  const [, scheme, hosts = "", prefix = ""] = match;
  if (hosts.includes("@")) {
    // Not quoted: there may be a password in it.
    throw new RangeError(
      "the URL has a user in it, which others can see: name the user with " +
        "--store-user, and the password's file with --store-password-file",
    );
  }
  const endpoints = hosts.split(",").map((host) => parseEndpoint(host, text));
  const twice = endpoints.find((one, i) => endpoints.indexOf(one) !== i);
  if (twice !== undefined) {
    throw new RangeError(`${quote(text)} names ${quote(twice)} twice`);
  }
  return {
    kind: "etcd",
    endpoints,
    prefix: parseEtcdPrefix(prefix, text),
    ...scheme === "etcds" ? { tls: {} } : {},
  };
}

function parseEndpoint(host: string, text: string): string {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([1-9]\d{0,4}))?$/.exec(host);
  const port = Number(match?.[3] ?? DEFAULT_ETCD_PORT);
  if (!match || port > 65_535) {
    throw new RangeError(
      `${quote(text)} is not a store: ${
        quote(host)
      } is not a host and a port; write "h1:2379" or "[::1]:2379"`,
    );
  }
  const [, address6, name = ""] = match;
  if (address6 !== undefined) {
    const address = parseAddress(address6);
    if (address.family === 6) return `[${formatAddress(address)}]:${port}`;
    throw new RangeError(
      `${quote(text)} has brackets around an IPv4 address: remove them`,
    );
  }
  if (/^[\d.]+$/.test(name)) {
    return `${formatAddress(parseAddress(name))}:${port}`;
  }
  if (/^[a-z\d](?:[a-z\d.-]{0,251}[a-z\d])?$/i.test(name)) {
    return `${name.toLowerCase()}:${port}`;
  }
  throw new RangeError(
    `${quote(text)} is not a store: ${quote(name)} is not the name of a host`,
  );
}

function parseEtcdPrefix(path: string, text: string): string {
  if (path === "" || path === "/") return DEFAULT_ETCD_PREFIX;
  if (/^(?:\/[\w.~-]+)+$/.test(path) && path.length <= MAX_PREFIX_LENGTH) {
    return path;
  }
  throw new RangeError(
    `${quote(text)} is not a store: ${
      quote(path)
    } cannot begin keys; write slashes and names of letters, digits and ` +
      `"._~-", at most ${MAX_PREFIX_LENGTH} of all, such as "/stellar-net"`,
  );
}
