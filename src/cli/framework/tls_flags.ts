import type { AgentSecurity } from "../../config/config.ts";
import { isThisHost } from "../../net/host.ts";
import { parsePath, parseSwitch } from "./flags.ts";
import type { Flag, FlagValues } from "./flag.ts";

// What an agent and the others know each other by.

export const TLS_CERT: Flag<string> = {
  name: "tls-cert",
  value: "FILE",
  description:
    "speak TLS with other hosts, and show them this certificate, in PEM",
  defaultNote: "one of the cluster's own authority",
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

export const TOKEN_FILE: Flag<string> = {
  name: "token-file",
  value: "FILE",
  description:
    "join with the token in this file, mode 0600; it is read until the agent has joined",
  defaultNote: "none",
  completion: "file",
  parse: parsePath,
};

export const INSECURE: Flag<boolean> = {
  name: "insecure",
  description:
    "for labs: serve other hosts, and join them, in plain text, and ask nobody who they are",
  parse: parseSwitch,
};

const PATH_FLAGS = [TLS_CERT, TLS_KEY, TLS_CA] as const;

/** The flags of security, in the order of the help. */
export const SECURITY_FLAGS = [TOKEN_FILE, ...PATH_FLAGS, INSECURE] as const;

/**
 * Reads what agents know each other by.
 *
 * @param join the URLs that are joined
 */
export function readSecurity(
  call: FlagValues,
  join: readonly string[],
): AgentSecurity {
  const given = readGiven(call);
  const tokenPath = call.value(TOKEN_FILE);
  refuseWith(call, TOKEN_FILE, {
    flags: [...PATH_FLAGS, INSECURE],
    why: "the cluster's own authority alone takes tokens",
  });
  if (call.value(INSECURE)) {
    refuseWith(call, INSECURE, {
      flags: PATH_FLAGS,
      why: "it is plain text",
    });
    return { kind: "none" };
  }
  if (given) return given;
  if (tokenPath === undefined) return { kind: "cluster" };
  if (join.some((url) => url.startsWith("https:"))) {
    return { kind: "cluster", tokenPath };
  }
  throw call.usage(
    `${call.originOf(TOKEN_FILE)} goes with "https://" in --join: ` +
      "name there the agents to join, or remove it",
  );
}

/** Refuses URLs that do not go with what agents know each other by. */
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
        'write "https://", or add --insecure, for labs',
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

function refuseWith(
  call: FlagValues,
  flag: Flag<unknown>,
  { flags, why }: {
    readonly flags: readonly Flag<unknown>[];
    readonly why: string;
  },
): void {
  if (!call.value(flag)) return;
  const other = flags.find((flag) => call.value(flag));
  if (!other) return;
  throw call.usage(
    `${call.originOf(other)} does not go with ${call.originOf(flag)}: ` +
      `${why}; remove one of the two`,
  );
}
