import type { StoreChoice } from "../agent/config.ts";
import { quote } from "../net/address.ts";
import type { Call } from "./call.ts";
import { parsePath } from "./flags.ts";
import type { Flag } from "./spec.ts";
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
  defaultNote: "the system's",
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

/** The flags of the store, in the order of the help. */
export const STORE_FLAGS = [
  STORE,
  STORE_CA,
  STORE_CERT,
  STORE_KEY,
  STORE_USER,
  STORE_PASSWORD_FILE,
] as const;

/** Reads where state is kept, and how to get there. */
export function readStore(call: Call): StoreChoice {
  const choice = call.value(STORE);
  const isEtcd = typeof choice === "object";
  for (const flag of [STORE_USER, STORE_PASSWORD_FILE]) {
    refuseUnless(call, isEtcd, { flag, scheme: "etcd" });
  }
  for (const flag of [STORE_CA, STORE_CERT, STORE_KEY]) {
    refuseUnless(call, isEtcd && choice.tls !== undefined, {
      flag,
      scheme: "etcds",
    });
  }
  if (!isEtcd) return choice;
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
  { flag, scheme }: { readonly flag: Flag<string>; readonly scheme: string },
): void {
  if (isRight || call.value(flag) === undefined) return;
  throw call.usage(
    `${call.originOf(flag)} goes with "${scheme}://" in --store: ` +
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
