import type { CniConnection } from "./io.ts";

/** A call of the agent's API within the agent. */
export interface LocalCall {
  /** Path of the request, such as `/stellar.net.v1.IpamService/Allocate`. */
  readonly path: string;
  readonly timeoutMs: number;
  /** The message as JSON. */
  readonly body: Uint8Array;
  /** Aborted when the caller does not want the answer any more. */
  readonly signal: AbortSignal;
}

/** The answer to a call. */
export interface LocalAnswer {
  /** Status of HTTP. */
  readonly status: number;
  readonly body: Uint8Array;
  /** Tells the API whether the caller has got the answer. */
  settle(isDelivered: boolean): void;
}

/** Calls the agent's API as a client of its socket would. */
export type AskAgent = (call: LocalCall) => Promise<LocalAnswer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const BLANK_LINE = "\r\n\r\n";

/**
 * A connection to the agent's own socket that saves the way over the kernel.
 * It takes one request of HTTP/1.1 with a length, as the plugin sends it.
 */
export function connectWithin(ask: AskAgent): CniConnection {
  const stop = new AbortController();
  let request = new Uint8Array();
  let unread: Uint8Array | undefined;
  let answer: Promise<LocalAnswer> | undefined;
  let isDelivered = false;
  return {
    write(bytes) {
      request = concat(request, bytes);
      const call = parseRequest(request);
      if (call) {
        answer ??= ask({ ...call, signal: stop.signal });
        // A caller that has closed the connection does not hear of an error.
        answer.catch(() => {});
      }
      return Promise.resolve(bytes.length);
    },
    async read(buffer) {
      if (!answer) return null;
      const { status, body, settle } = await answer;
      unread ??= concat(
        encoder.encode(
          `HTTP/1.1 ${status} -\r\nContent-Length: ${body.length}${BLANK_LINE}`,
        ),
        body,
      );
      if (unread.length === 0) return null;
      const count = Math.min(buffer.length, unread.length);
      buffer.set(unread.subarray(0, count));
      unread = unread.subarray(count);
      if (unread.length === 0) {
        isDelivered = true;
        settle(true);
      }
      return count;
    },
    close() {
      if (isDelivered) return;
      stop.abort();
      answer?.then(({ settle }) => settle(false), () => {});
    },
  };
}

/** Undefined until the request is complete. */
function parseRequest(
  bytes: Uint8Array,
): Omit<LocalCall, "signal"> | undefined {
  const end = decoder.decode(bytes.subarray(0, MAX_HEAD_BYTES))
    .indexOf(BLANK_LINE);
  if (end < 0) return undefined;
  const head = decoder.decode(bytes.subarray(0, end));
  const read = (name: string) =>
    Number(new RegExp(`^${name}: (\\d+)$`, "im").exec(head)?.[1] ?? 0);
  const length = read("content-length");
  const start = end + BLANK_LINE.length;
  if (bytes.length < start + length) return undefined;
  return {
    path: head.split(" ", 2)[1]!,
    timeoutMs: read("connect-timeout-ms"),
    body: bytes.slice(start, start + length),
  };
}

const MAX_HEAD_BYTES = 1024;

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
