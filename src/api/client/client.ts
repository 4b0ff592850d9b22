import { isThisHost } from "../../net/address.ts";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { lstat } from "node:fs/promises";
import { Agent } from "node:http";
import { NetError } from "../../base/error.ts";
import { fromConnectError } from "../messages/errors.ts";
import { noCertificate, tlsAgentOf } from "../tls/agent.ts";
import type { TlsCredentials, TlsMaterial } from "../tls/credentials.ts";
import { explainTls } from "../tls/explain.ts";

/** A transport that the first call makes. If that fails, so does each call. */
export function lazyTransport(make: () => Promise<Transport>): Transport {
  let making: Promise<Transport> | undefined;
  const made = () => making ??= make();
  return {
    unary: async (...call) => await (await made()).unary(...call),
    stream: async (...call) => await (await made()).stream(...call),
  };
}

/** Where an agent is: the path of its unix socket, or a URL such as "https://192.0.2.1:9000". */
export type RpcTarget =
  | { readonly socketPath: string }
  | { readonly url: string };

export interface RpcTransportOptions {
  /** Default deadline of a call, in ms. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** Credentials for "https://" URLs. */
  readonly tls?: TlsCredentials | undefined;
  /** Whether it calls "http://" URLs of other hosts: in labs. Default true. */
  readonly allowsPlainText?: boolean | undefined;
}

const START =
  'start it with "stellar-net agent", or name its socket with --socket';

/** Within SOCKET_INTERVAL_MS of the agent. */
const NO_SOCKET =
  `there is no such socket, so no agent serves there: ${START}; an agent whose socket was deleted makes it again within 5 s`;

const NO_CERTIFICATE =
  "it asks for a certificate, and this agent speaks plain text: start both of them with --insecure, or none";
const NO_HTTP =
  'it does not speak HTTP: where it speaks TLS, write "https://", and start this agent without --insecure';
const PLAIN_TEXT =
  "it speaks plain text, and this agent speaks TLS with other hosts: start both of them with --insecure, or none";

/** The bit of a mode that lets a group connect to a socket. */
const GROUP_WRITES = 0o020;

const unreachables = new WeakSet<NetError>();

const CUT = "it closed the connection";
/** Attempts to send a call: all idle connections may be stale. */
const MAX_ATTEMPTS = 4;

/** Why a client does not reach an agent, by code of connect(2). */
const OBSTACLES: Readonly<Record<string, string>> = {
  ENOENT: NO_SOCKET,
  ENOTDIR: NO_SOCKET,
  ECONNREFUSED: `nothing listens there, so it is not running: ${START}`,
  EINVAL: "this is not the path of a socket: name the agent's with --socket",
  ETIMEDOUT: "nothing answers there",
  EHOSTUNREACH: "there is no route to that host",
  ENETUNREACH: "there is no route to that network",
  ENOTFOUND: "there is no host of that name",
};

/** Makes the transport to an agent: the Connect protocol over HTTP/1.1, for
 * sockets and URLs alike. It opens connections on demand, and does not keep the
 * process alive.
 * Every failure is a NetError: `unavailable` when the agent is unreachable, else
 * with the agent's code and message.
 */
export function createRpcTransport(
  target: RpcTarget,
  options: RpcTransportOptions = {},
): Transport {
  const { timeoutMs, tls, allowsPlainText = true } = options;
  const isSecure = "url" in target && target.url.startsWith("https:");
  const inner = createConnectTransport({
    httpVersion: "1.1",
    baseUrl: "url" in target ? target.url : "http://localhost",
    nodeOptions: {
      agent: isSecure && tls ? tlsAgentOf(tls) : new Agent({ keepAlive: true }),
      ...("url" in target ? {} : { socketPath: target.socketPath }),
    },
    ...(timeoutMs === undefined ? {} : { defaultTimeoutMs: timeoutMs }),
  });
  /** Makes the errors of a call that starts now. */
  const errorsOfCall = () => {
    const shown = tls?.material;
    return (error: unknown) => toNetError(error, { target, tls, shown });
  };
  const check = () => {
    const obstacle = isSecure
      ? !tls ? NO_CERTIFICATE : tls.material ? undefined : noCertificate(tls)
      : allowsPlainText || !("url" in target) || isThisHost(target.url)
      ? undefined
      : PLAIN_TEXT;
    if (obstacle === undefined) return;
    // The agent's own security logs why there is no certificate yet.
    const cause = isSecure && tls && !tls.material
      ? new NetError("unauthenticated", obstacle)
      : undefined;
    throw unreachable(target, obstacle, cause);
  };
  return {
    async unary(...call) {
      check();
      const toError = errorsOfCall();
      for (let attempt = 1;; attempt++) {
        try {
          return await inner.unary(...call);
        } catch (error) {
          if (attempt < MAX_ATTEMPTS && isUnsent(error)) continue;
          throw await toError(error);
        }
      }
    },
    async stream(...call) {
      check();
      const toError = errorsOfCall();
      try {
        const response = await inner.stream(...call);
        return { ...response, message: convert(response.message, toError) };
      } catch (error) {
        throw await toError(error);
      }
    },
  };
}

async function* convert<T>(
  messages: AsyncIterable<T>,
  toError: (error: unknown) => Promise<NetError>,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw await toError(error);
  }
}

async function toNetError(
  error: unknown,
  { target, tls, shown }: {
    readonly target: RpcTarget;
    readonly tls: TlsCredentials | undefined;
    /** The material at the start of the call. */
    readonly shown: TlsMaterial | undefined;
  },
): Promise<NetError> {
  const what = await explainFailure(error, target, tls);
  if (what !== undefined) return unreachable(target, what, error);
  const answer = fromConnectError(error);
  // A refusal of the certificate before says nothing about this one.
  if (answer.code === "unauthenticated" && tls?.material === shown) {
    tls?.noteRefusal?.(answer.message);
  }
  return answer;
}

/** Why an agent was not reached; undefined when it answered. */
export async function explainFailure(
  error: unknown,
  target: RpcTarget,
  credentials?: TlsCredentials,
): Promise<string | undefined> {
  const code = connectCode(error);
  if (code !== undefined) return await describe(code, target);
  if (!("url" in target)) return undefined;
  const { url } = target;
  if (!url.startsWith("https:")) {
    return isNoHttp(error) ? NO_HTTP : isUnsent(error) ? CUT : undefined;
  }
  return await explainTls(error, { url, credentials, nowMs: Date.now() });
}

/** The error for an agent that was not reached. @param what why */
export function unreachable(
  target: RpcTarget,
  what: string,
  cause?: unknown,
): NetError {
  const where = JSON.stringify(
    "url" in target ? target.url : target.socketPath,
  );
  const error = new NetError(
    "unavailable",
    `Cannot reach the agent at ${where}: ${what}`,
    { cause },
  );
  unreachables.add(error);
  return error;
}

/** Whether a call failed because the agent was not reached, so that it did nothing. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof NetError && unreachables.has(error);
}

/** Whether a request was not sent whole because its connection was gone: an idle
 * one from before a restart of the agent, for example. Nobody has read it.
 */
function isUnsent(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as NodeJS.ErrnoException).code === "EPIPE") return true;
  }
  return false;
}

/** Whether the answer is not HTTP: an error of the parser. */
function isNoHttp(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string" && code.startsWith("HPE_")) return true;
  }
  return false;
}

/** The code of connect(2) among the causes of an error; undefined for other errors. */
function connectCode(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException;
    if (typeof code !== "string") continue;
    if (syscall === "connect" || syscall === "getaddrinfo") return code;
  }
  return undefined;
}

async function describe(code: string, target: RpcTarget): Promise<string> {
  if ("url" in target) {
    return code === "ECONNREFUSED"
      ? "nothing listens there"
      : OBSTACLES[code] ?? code;
  }
  if (code === "EACCES" || code === "EPERM") {
    return `no permission${await describeOwner(target.socketPath)}; ` +
      "run this as the agent's user, usually root, or in the group of the " +
      "agent's --socket-group, or as an operator with --url and --identity";
  }
  if (code === "ECONNREFUSED" && !await isSocket(target.socketPath)) {
    return "this is not a socket: name the agent's with --socket";
  }
  return OBSTACLES[code] ?? code;
}

async function describeOwner(path: string): Promise<string> {
  try {
    const { uid, gid, mode } = await lstat(path);
    const owner = uid === 0 ? "root" : `the user with id ${uid}`;
    const group = mode & GROUP_WRITES ? ` and the group with id ${gid}` : "";
    return `, it belongs to ${owner}${group}`;
  } catch {
    // This user may not look into its folder.
    return "";
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket();
  } catch {
    return false;
  }
}
