import { parseApiUrl } from "../../base/names.ts";
import { isThisHost } from "../../net/address.ts";
import {
  type Flag,
  type FlagValues,
  type FlagWithDefault,
  switchFlag,
} from "./flag.ts";
import type { AgentTarget } from "./io.ts";
import { parsePath, parseSocketPath, parseTimeout } from "./parsers.ts";

export const SOCKET: FlagWithDefault<string> = {
  name: "socket",
  value: "PATH",
  description: "unix socket of the agent",
  default: "/run/stellar-net/agent.sock",
  completion: "file",
  parse: parseSocketPath,
};

export const URL_FLAG: Flag<string> = {
  name: "url",
  value: "URL",
  description:
    "call the agent at this URL instead of the socket: https:// needs --identity, http:// works on this host only",
  defaultNote: "the socket, or the agents stored with the identity",
  parse: parseApiUrl,
};

export const IDENTITY: Flag<string> = {
  name: "identity",
  value: "DIR",
  description: "call with the certificate in this folder, see identity create",
  defaultNote: "the user of the socket",
  completion: "directory",
  parse: parsePath,
};

export const JSON_OUTPUT: Flag<boolean> = switchFlag(
  "json",
  "print one JSON object instead of a table",
);

export const TIMEOUT: FlagWithDefault<number> = {
  name: "timeout",
  value: "DURATION",
  description: "how long to wait for each answer of the agent",
  default: "10s",
  parse: parseTimeout,
};

/** The flags that choose the agent to call, and the identity. */
export const TARGET_FLAGS: readonly Flag<unknown>[] = [
  SOCKET,
  URL_FLAG,
  IDENTITY,
];

/** The flags of every client of an agent. They may also stand before the command. */
export const CLIENT_FLAGS: readonly Flag<unknown>[] = [
  ...TARGET_FLAGS,
  JSON_OUTPUT,
  TIMEOUT,
];

/**
 * Reads which agent to call, and with which identity. The command line takes
 * precedence over the environment.
 */
export function readTarget(call: FlagValues): AgentTarget {
  const hasSocket = isTyped(call, SOCKET);
  const remote = [URL_FLAG, IDENTITY].find((flag) => isTyped(call, flag));
  if (hasSocket && remote) {
    throw call.usage(
      `--${SOCKET.name} does not go with --${remote.name}: remove one of the two`,
    );
  }
  const url = hasSocket ? undefined : call.value(URL_FLAG);
  const identity = hasSocket ? undefined : call.value(IDENTITY);
  if (url === undefined) {
    return identity === undefined
      ? { socketPath: call.value(SOCKET) }
      : { identity };
  }
  if (url.startsWith("https:")) {
    if (identity !== undefined) return { identity, url };
    throw call.usage(
      `${call.originOf(URL_FLAG)}: "${url}" needs a client certificate: ` +
        "name an identity with --identity; stellar-net identity create makes one",
    );
  }
  if (!isThisHost(url)) {
    throw call.usage(
      `${call.originOf(URL_FLAG)}: "${url}" is plain text: write "https://"` +
        (identity === undefined
          ? ", and name an identity with --identity"
          : ""),
    );
  }
  if (isTyped(call, IDENTITY)) {
    throw call.usage(
      `${
        call.originOf(URL_FLAG)
      }: "${url}" is plain text, which does not go with ` +
        '--identity: write "https://", or remove --identity',
    );
  }
  return { url };
}

/** The agent of a target, as messages name it. */
export function formatTarget(target: AgentTarget): string {
  if ("socketPath" in target) return target.socketPath;
  return target.identity === undefined
    ? target.url
    : target.url ?? target.identity;
}

/** The flags that name the same target again. */
export function targetArgs(target: AgentTarget): string[] {
  if ("socketPath" in target) return ["--socket", target.socketPath];
  return [
    ...target.url === undefined ? [] : ["--url", target.url],
    ...target.identity === undefined ? [] : ["--identity", target.identity],
  ];
}

function isTyped(call: FlagValues, flag: Flag<unknown>): boolean {
  return call.given(flag) !== undefined &&
    call.originOf(flag) === `--${flag.name}`;
}
