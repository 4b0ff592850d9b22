import type { CniConnection, CniIo } from "./io.ts";
import type { AgentCall } from "./text/agent_messages.ts";
import { CniError } from "./text/errors.ts";
import {
  encodeRequest,
  HttpResponseReader,
  HttpSyntaxError,
} from "./text/http_message.ts";
import type { JsonObject } from "../base/json_reader.ts";
import { decodeObject, describe } from "./text/json.ts";

/** The time by which a command must finish. */
export class Deadline {
  readonly #uptimeMs: () => number;
  readonly #atMs: number;

  constructor(timeoutMs: number, uptimeMs: () => number) {
    this.#uptimeMs = uptimeMs;
    this.#atMs = uptimeMs() + timeoutMs;
  }

  /** The remaining time in ms, at least 1. */
  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#atMs - this.#uptimeMs()));
  }
}

/** A call that took too long. */
export class LateError extends Error {
  override readonly name = "LateError";
}

/** Waits for a promise for a limited time. @throws {LateError} */
export async function within<T>(
  promise: Promise<T>,
  options: { readonly timeoutMs: number } & Pick<CniIo, "startTimer">,
): Promise<T> {
  const { timeoutMs, startTimer } = options;
  const timer = startTimer(timeoutMs);
  const late = timer.expired.then((): never => {
    throw new LateError(`no answer within ${timeoutMs} ms`);
  });
  // Nobody waits for this one once the promise has won.
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.cancel();
  }
}

/**
 * The outcome of a call of the agent.
 *
 * - `answered`: with the message of the answer
 * - `refused`: with the code of the refusal, in the Connect protocol's spelling
 * - `denied`: this user may not use the socket
 * - `unreachable`: no agent listens; nothing was sent
 * - `lost`: sent, at least in part, and not answered: it may have happened
 * - `garbled`: the bytes are no valid answer: it may have happened
 */
export type AgentOutcome =
  | { readonly kind: "answered"; readonly message: JsonObject }
  | { readonly kind: "refused"; readonly code: string; readonly why: string }
  | {
    readonly kind: "denied" | "unreachable" | "lost" | "garbled";
    readonly why: string;
  };

const SERVICE = "/stellar.net.v1.IpamService/";
/** Enough for the answer of a GC that released a whole `/16`. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const READ_BYTES = 16 * 1024;
const HTTP_OK = 200;

/** Calls the agent once, over a connection of its own. Never throws. */
export async function callAgent(
  io: Pick<CniIo, "connect" | "startTimer">,
  call: AgentCall,
  options: { readonly socketPath: string; readonly timeoutMs: number },
): Promise<AgentOutcome> {
  const { socketPath, timeoutMs } = options;
  const bound = { timeoutMs, startTimer: io.startTimer };
  const connecting = io.connect(socketPath);
  let connection: CniConnection;
  try {
    connection = await within(connecting, bound);
  } catch (error) {
    connecting.then((late) => late.close(), () => {});
    return connectFailure(error, socketPath);
  }
  try {
    const request = encodeRequest(
      SERVICE + call.method,
      JSON.stringify(call.message),
      { timeoutMs },
    );
    return await within(exchange(connection, request), bound);
  } catch (error) {
    return error instanceof HttpSyntaxError || error instanceof CniError
      ? {
        kind: "garbled",
        why: `the agent's answer is not valid: ${text(error)}`,
      }
      : { kind: "lost", why: `the agent did not answer: ${text(error)}` };
  } finally {
    connection.close();
  }
}

async function exchange(
  connection: CniConnection,
  request: Uint8Array,
): Promise<AgentOutcome> {
  let left = request;
  while (left.length > 0) {
    left = left.subarray(await connection.write(left));
  }
  const reader = new HttpResponseReader({ maxBytes: MAX_ANSWER_BYTES });
  const buffer = new Uint8Array(READ_BYTES);
  for (;;) {
    const count = await connection.read(buffer);
    if (count !== null) reader.push(buffer.subarray(0, count));
    const response = reader.read({ ended: count === null });
    if (!response) {
      if (count === null) throw new Error("it closed the connection");
      continue;
    }
    const message = decodeObject(response.body, "the agent's answer");
    return response.status === HTTP_OK
      ? { kind: "answered", message }
      : refusal(response.status, message);
  }
}

function refusal(status: number, message: JsonObject): AgentOutcome {
  const { code, message: why } = message;
  if (typeof code !== "string") {
    throw new HttpSyntaxError(`it is HTTP status ${status} without a code`);
  }
  return {
    kind: "refused",
    code,
    why: typeof why === "string" && why !== "" ? why : code,
  };
}

function connectFailure(error: unknown, socketPath: string): AgentOutcome {
  const { code } = error as { readonly code?: unknown };
  if (code === "EACCES" || code === "EPERM") {
    return {
      kind: "denied",
      why: `no permission to use ${describe(socketPath)}; ` +
        "run the container runtime as the agent's user, usually root",
    };
  }
  const what = code === "ENOENT" || code === "ENOTDIR"
    ? "there is no such socket"
    : code === "ECONNREFUSED"
    ? "nothing listens there"
    : text(error);
  return {
    kind: "unreachable",
    why: `the agent is not reached at ${describe(socketPath)}: ${what}; ` +
      'start it with "stellar-net agent", or name its socket with "ipam.socket"',
  };
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
