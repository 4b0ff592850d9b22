import { IDENTITY, SOCKET, URL_FLAG } from "./client.ts";
import type { AgentTarget } from "./io.ts";
import type { Flag, FlagValues } from "./flag.ts";
import { isThisHost } from "../../net/host.ts";

/**
 * Reads which agent is called, and as whom. What stands on the command line
 * goes before the environment.
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
      `${call.originOf(URL_FLAG)}: "${url}" asks who calls: ` +
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
