import type { StoreChoice } from "../../config/config.ts";
import { quote } from "../../net/address.ts";
import type { Call } from "../framework/call.ts";
import { parsePath } from "../framework/flags.ts";
import type { Flag } from "../framework/flag.ts";
import { parseStore } from "./store_url.ts";

// Where the agent keeps state, and how it gets there.

export const STORE: Flag<StoreChoice> & { readonly default: string } = {
  name: "store",
  value: "URL",
  description:
    "kv: is a file in --state, kv::memory: is lost at the end, etcd://h1:2379,h2:2379/prefix is a cluster of etcd, etcds:// one with TLS",
  default: "kv:",
  parse: parseStore,
};

export const STORE_CA: Flag<string> = {
  name: "store-ca",
  value: "FILE",
  description: "authorities that etcd's certificate is checked with, in PEM",
  defaultNote: "public ones",
  completion: "file",
  parse: parsePath,
};

export const STORE_CERT: Flag<string> = {
  name: "store-cert",
  value: "FILE",
  description: "certificate that is shown to etcd, in PEM",
  defaultNote: "none",
  completion: "file",
  parse: parsePath,
};

export const STORE_KEY: Flag<string> = {
  name: "store-key",
  value: "FILE",
  description: "key of --store-cert, in PEM",
  defaultNote: "none",
  completion: "file",
  parse: parsePath,
};

export const STORE_USER: Flag<string> = {
  name: "store-user",
  value: "NAME",
  description: "user of etcd",
  defaultNote: "none, or whom --store-cert names",
  parse: parseUser,
};

export const STORE_PASSWORD_FILE: Flag<string> = {
  name: "store-password-file",
  value: "FILE",
  description: "file whose first line is the password of --store-user",
  defaultNote: "none",
  completion: "file",
  parse: parsePath,
};

/** The flags that say how to get to a store, in the order of the help. */
export const STORE_ACCESS_FLAGS = [
  STORE_CA,
  STORE_CERT,
  STORE_KEY,
  STORE_USER,
  STORE_PASSWORD_FILE,
] as const;

/** The flags of the store, in the order of the help. */
export const STORE_FLAGS = [STORE, ...STORE_ACCESS_FLAGS] as const;

/** Reads where state is kept, and how to get there. */
export function readStore(call: Call): StoreChoice {
  return readAccess(call, call.value(STORE), [STORE]);
}

/**
 * Reads how to get to a store.
 *
 * @param flags all that name stores: it goes with any of them
 */
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
