import type { AgentSecurity } from "../../config/config.ts";
import { isThisHost } from "../../net/address.ts";
import {
  fileFlag,
  type Flag,
  type FlagValues,
  refuseTogether,
  switchFlag,
} from "./flag.ts";

// The flags that say how agents authenticate each other.

const TLS_CERT = fileFlag(
  "tls-cert",
  "speak TLS with other hosts, and present this certificate, in PEM",
  "one of the cluster's own CA",
);

const TLS_KEY = fileFlag("tls-key", "key of --tls-cert, in PEM");

const TLS_CA = fileFlag(
  "tls-ca",
  "CA certificates that sign the certificates of other hosts, in PEM",
);

export const TOKEN_FILE: Flag<string> = fileFlag(
  "token-file",
  "join with the token in this file, mode 0600; the agent reads it until it has joined",
);

const INSECURE = switchFlag(
  "insecure",
  "for labs: serve other hosts, and join them, in plain text and without authentication",
);

const ACCEPT_INSECURE = switchFlag(
  "accept-insecure",
  "speak TLS with other hosts, and plain text with those that run with --insecure: while a cluster moves from one to the other",
);

const PATH_FLAGS = [TLS_CERT, TLS_KEY, TLS_CA] as const;

/** The security flags, in the order of the help. */
export const SECURITY_FLAGS = [
  TOKEN_FILE,
  ...PATH_FLAGS,
  INSECURE,
  ACCEPT_INSECURE,
] as const;

/** Reads how agents authenticate each other. @param join the URLs to join */
export function readSecurity(
  call: FlagValues,
  join: readonly string[],
): AgentSecurity {
  const given = readGiven(call);
  const tokenPath = call.value(TOKEN_FILE);
  refuseTogether(call, {
    flag: TOKEN_FILE,
    others: [...PATH_FLAGS, INSECURE],
    why: "only the cluster's own CA accepts tokens",
  });
  refuseTogether(call, {
    flag: INSECURE,
    others: [...PATH_FLAGS, ACCEPT_INSECURE],
    why: "it is plain text",
  });
  if (call.value(INSECURE)) return { kind: "none" };
  const plainTextToo = call.value(ACCEPT_INSECURE)
    ? { acceptsPlainText: true }
    : {};
  if (given) return { ...given, ...plainTextToo };
  if (tokenPath === undefined) return { kind: "cluster", ...plainTextToo };
  if (join.some((url) => url.startsWith("https:"))) {
    return { kind: "cluster", tokenPath, ...plainTextToo };
  }
  throw call.usage(
    `${call.originOf(TOKEN_FILE)} goes with "https://" in --join: ` +
      "name the agents to join there, or remove it",
  );
}

/** Refuses URLs that do not fit how agents authenticate each other. */
export function checkJoin(
  call: FlagValues,
  { join, flag, security }: {
    readonly join: readonly string[];
    readonly flag: Flag<string>;
    readonly security: AgentSecurity;
  },
): void {
  for (const url of join) {
    const isSecure = url.startsWith("https:");
    if (security.kind === "none" && isSecure) {
      throw call.usage(
        `${call.originOf(flag)}: "${url}" is TLS, which does not go with ` +
          '--insecure: write "http://", or remove --insecure',
      );
    }
    if (security.kind === "none" || isSecure || isThisHost(url)) continue;
    throw call.usage(
      `${call.originOf(flag)}: "${url}" is plain text: ` +
        'write "https://", or in a lab add --insecure',
    );
  }
}

function readGiven(call: FlagValues): AgentSecurity | undefined {
  const certPath = call.value(TLS_CERT);
  const keyPath = call.value(TLS_KEY);
  const caPath = call.value(TLS_CA);
  if (certPath !== undefined && keyPath !== undefined && caPath !== undefined) {
    return { kind: "given", paths: { certPath, keyPath, caPath } };
  }
  const given = PATH_FLAGS.find((flag) => call.value(flag) !== undefined);
  if (!given) return undefined;
  const missing = PATH_FLAGS.filter((flag) => call.value(flag) === undefined)
    .map(({ name }) => `--${name}`).join(" and ");
  throw call.usage(
    `${call.originOf(given)} goes with ${missing}: give all three, or none`,
  );
}
