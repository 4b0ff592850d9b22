import type { TlsPaths } from "../agent/config.ts";
import type { Call } from "./call.ts";
import { parsePath } from "./flags.ts";
import type { Flag } from "./spec.ts";

// What an agent and the others know each other by.

export const TLS_CERT: Flag<string> = {
  name: "tls-cert",
  value: "FILE",
  description:
    "speak TLS with other hosts, and show them this certificate, in PEM",
  defaultNote: "plain text",
  completion: "file",
  parse: parsePath,
};

export const TLS_KEY: Flag<string> = {
  name: "tls-key",
  value: "FILE",
  description: "key of --tls-cert, in PEM",
  defaultNote: "none",
  completion: "file",
  parse: parsePath,
};

export const TLS_CA: Flag<string> = {
  name: "tls-ca",
  value: "FILE",
  description:
    "authorities that certificates of other hosts are checked with, in PEM",
  defaultNote: "none",
  completion: "file",
  parse: parsePath,
};

/** The flags of TLS, in the order of the help. */
export const TLS_FLAGS = [TLS_CERT, TLS_KEY, TLS_CA] as const;

/** Reads the files that TLS is spoken with; undefined when none is named. */
export function readTls(call: Call): TlsPaths | undefined {
  const certPath = call.value(TLS_CERT);
  const keyPath = call.value(TLS_KEY);
  const caPath = call.value(TLS_CA);
  if (certPath !== undefined && keyPath !== undefined && caPath !== undefined) {
    return { certPath, keyPath, caPath };
  }
  const given = TLS_FLAGS.find((flag) => call.value(flag) !== undefined);
  if (!given) return undefined;
  const missing = TLS_FLAGS.filter((flag) => call.value(flag) === undefined)
    .map(({ name }) => `--${name}`).join(" and ");
  throw call.usage(
    `${call.originOf(given)} goes with ${missing}: give all three, or none`,
  );
}
