import type { StoreChoice } from "../../config/config.ts";
import { formatAddress, parseAddress, quote } from "../../net/address.ts";
import type { Call } from "../framework/call.ts";
import {
  fileFlag,
  type Flag,
  type FlagWithDefault,
} from "../framework/flag.ts";

// The store of the agent's state, and the connection to it.

const DEFAULT_ETCD_PORT = 2379;
const DEFAULT_ETCD_PREFIX = "/stellar-net";
const MAX_PREFIX_LENGTH = 255;
const KNOWN = 'write "kv:" (a file in --state), "kv::memory:" (lost when the ' +
  'agent stops) or "etcd://h1:2379,h2:2379/prefix" ("etcds://" with TLS)';

export const STORE: FlagWithDefault<StoreChoice> = {
  name: "store",
  value: "URL",
  description:
    "kv: is a file in --state, kv::memory: is lost when the agent stops, etcd://h1:2379,h2:2379/prefix is an etcd cluster, etcds:// the same with TLS",
  default: "kv:",
  parse: parseStore,
};

const STORE_CA = fileFlag(
  "store-ca",
  "CA certificates that sign etcd's certificate, in PEM",
  "public ones",
);

const STORE_CERT = fileFlag(
  "store-cert",
  "certificate to present to etcd, in PEM",
);

const STORE_KEY = fileFlag("store-key", "key of --store-cert, in PEM");

const STORE_USER: Flag<string> = {
  name: "store-user",
  value: "NAME",
  description: "user name in etcd",
  defaultNote: "none, or the name in --store-cert",
  parse: parseUser,
};

const STORE_PASSWORD_FILE = fileFlag(
  "store-password-file",
  "file whose first line is the password of --store-user",
);

/** The flags for the connection to a store, in the order of the help. */
export const STORE_ACCESS_FLAGS = [
  STORE_CA,
  STORE_CERT,
  STORE_KEY,
  STORE_USER,
  STORE_PASSWORD_FILE,
] as const;

/** The flags of the store, in the order of the help. */
export const STORE_FLAGS = [STORE, ...STORE_ACCESS_FLAGS] as const;

/** Reads the store, and how to connect to it. */
export function readStore(call: Call): StoreChoice {
  return readAccess(call, call.value(STORE), [STORE]);
}

/** Reads how to connect to a store. @param flags all flags that name a store */
export function readAccess(
  call: Call,
  choice: StoreChoice,
  flags: readonly Flag<StoreChoice>[],
): StoreChoice {
  const choices = flags.map((flag) => call.value(flag))
    .filter((choice) => typeof choice === "object");
  const names = flags.map(({ name }) => `--${name}`).join(" or ");
  for (const flag of [STORE_USER, STORE_PASSWORD_FILE]) {
    const isRight = choices.length > 0;
    refuseUnless(call, isRight, { flag, scheme: "etcd", names });
  }
  for (const flag of [STORE_CA, STORE_CERT, STORE_KEY]) {
    const isRight = choices.some(({ tls }) => tls !== undefined);
    refuseUnless(call, isRight, { flag, scheme: "etcds", names });
  }
  if (typeof choice !== "object") return choice;
  refuseAlone(call, [STORE_CERT, STORE_KEY]);
  refuseAlone(call, [STORE_USER, STORE_PASSWORD_FILE]);
  const name = call.value(STORE_USER);
  const passwordPath = call.value(STORE_PASSWORD_FILE);
  return {
    ...choice,
    ...choice.tls && {
      tls: {
        caPath: call.value(STORE_CA),
        certPath: call.value(STORE_CERT),
        keyPath: call.value(STORE_KEY),
      },
    },
    ...name !== undefined && passwordPath !== undefined &&
      { user: { name, passwordPath } },
  };
}

/** Parses the URL of a store. */
export function parseStore(text: string): StoreChoice {
  if (text === "kv:") return "file";
  if (text === "kv::memory:") return "memory";
  if (/^https?:/i.test(text)) {
    throw new RangeError(
      "a Deno KV server (https://) is not supported, because nobody has tested a registry on one: " +
        KNOWN,
    );
  }
  const match = /^(etcds?):\/\/([^/]*)(.*)$/s.exec(text);
  if (!match) throw new RangeError(`${quote(text)} is not a store: ${KNOWN}`);
  const [, scheme, hosts = "", prefix = ""] = match;
  if (hosts.includes("@")) {
    // Not quoted: there may be a password in it.
    throw new RangeError(
      "the URL contains a user, which others can see: name the user with " +
        "--store-user, and the file of the password with --store-password-file",
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

/** Parses a store that keeps a registry when its agent stops. */
export function parseLasting(text: string): StoreChoice {
  const choice = parseStore(text);
  if (choice !== "memory") return choice;
  throw new RangeError(
    `${
      quote(text)
    } is lost when the agent stops: write "kv:" or "etcd://h1:2379"`,
  );
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
    } is not a prefix of keys; write slashes and names of letters, digits and ` +
      `"._~-", at most ${MAX_PREFIX_LENGTH} characters, such as "/stellar-net"`,
  );
}

function parseUser(text: string): string {
  if (text !== "" && !/[\p{Cc}:]/u.test(text)) return text;
  throw new RangeError(
    `${
      quote(text)
    } is not a user: it is empty, or has a colon or a control character`,
  );
}

function refuseUnless(
  call: Call,
  isRight: boolean,
  { flag, scheme, names }: {
    readonly flag: Flag<string>;
    readonly scheme: string;
    readonly names: string;
  },
): void {
  if (isRight || call.value(flag) === undefined) return;
  throw call.usage(
    `${call.originOf(flag)} goes with "${scheme}://" in ${names}: ` +
      "write that, or remove it",
  );
}

function refuseAlone(
  call: Call,
  [one, other]: readonly [Flag<string>, Flag<string>],
): void {
  const [first, second] = call.value(one) === undefined
    ? [other, one]
    : [one, other];
  if (call.value(first) === undefined || call.value(second) !== undefined) {
    return;
  }
  throw call.usage(
    `${call.originOf(first)} goes with --${second.name}: give both, or none`,
  );
}
