import { DEFAULT_TIMEOUT_MS, parseConfig } from "./text/config.ts";
import { decodeObject } from "./text/json.ts";
import type { CniConnection, CniIo, CniTimer } from "./io.ts";
import { answerCall, type CniAnswer } from "./main.ts";

/*
 * The messages between the native plugin (native/plugin.c) and the agent, over
 * the agent's socket. Numbers have four bytes, the most significant one first.
 *
 * plugin: "CNI1", bytes of variables, bytes of stdin, variables, stdin
 * agent:  1, ms until the answer at the latest
 * agent:  2, exit code, bytes of stdout, bytes of stderr, stdout, stderr
 * plugin: 6, after it has written stdout
 *
 * Variables are NAME=VALUE, each with a zero behind it. In place of either of
 * its messages the agent can send 0: the plugin runs the executable then.
 */

/** The first bytes of a call. */
export const NATIVE_CALL: Uint8Array<ArrayBuffer> = new TextEncoder()
  .encode("CNI1");

const RUN_EXECUTABLE = 0;
const ACCEPTED = 1;
const ANSWER = 2;

const HEAD_BYTES = NATIVE_CALL.length + 8;
/** The kernel limits an environment to less. */
const MAX_VARIABLES_BYTES = 4 * 1024 * 1024;
/** Larger ones keep the agent busy for too long: the executable takes them. */
const MAX_STDIN_BYTES = 1024 * 1024;
/** The plugin gets the answer this long after the timeout of its configuration. */
const ANSWER_GRACE_MS = 1_000;

export interface NativeCallsOptions {
  /** Path of the agent's own socket. */
  readonly socketPath: string;
  /** Connects to that socket. */
  readonly connect: () => Promise<CniConnection>;
  readonly now: () => number;
  readonly uptimeMs: () => number;
  readonly randomId: () => string;
  /** Overrides of DEFAULT_NATIVE_LIMITS. */
  readonly limits?: Partial<NativeLimits>;
}

/** Bounds of native calls. */
export interface NativeLimits {
  /** Calls at one time. The agent sends further ones to the executable. */
  readonly maxCalls: number;
  /** Time for the plugin to send the call. */
  readonly receiveMs: number;
  /**
   * Time for the plugin to write its stdout. Afterwards the answer counts as
   * delivered: the plugin may still write it.
   */
  readonly printMs: number;
}

export const DEFAULT_NATIVE_LIMITS: NativeLimits = {
  maxCalls: 256,
  receiveMs: 10_000,
  printMs: 5_000,
};

/** A connection of a native plugin, as a socket of `node:net`. */
export interface NativeSocket extends AsyncIterable<Uint8Array> {
  write(bytes: Uint8Array): void;
  end(): void;
  destroy(): void;
}

/** A call as it arrived. */
interface NativeCall {
  readonly variables: ReadonlyMap<string, Uint8Array>;
  readonly stdin: Uint8Array;
}

/** Answers the calls of native plugins. Their caller may use the agent's socket. */
export class NativeCalls {
  readonly #options: NativeCallsOptions;
  readonly #limits: NativeLimits;
  #running = 0;

  constructor(options: NativeCallsOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_NATIVE_LIMITS, ...options.limits };
  }

  /** Serves one connection to its end. Never throws. */
  async serve(socket: NativeSocket): Promise<void> {
    if (this.#running >= this.#limits.maxCalls) return refuse(socket);
    this.#running++;
    const timer = setTimeout(() => socket.destroy(), this.#limits.receiveMs);
    try {
      const chunks = socket[Symbol.asyncIterator]();
      const call = await receive(chunks);
      clearTimeout(timer);
      if (call) await this.#answer(socket, { call, chunks });
      else refuse(socket);
    } catch {
      // The plugin is gone, or was too slow.
      socket.destroy();
    } finally {
      clearTimeout(timer);
      this.#running--;
    }
  }

  async #answer(
    socket: NativeSocket,
    { call, chunks }: {
      readonly call: NativeCall;
      readonly chunks: AsyncIterator<Uint8Array>;
    },
  ): Promise<void> {
    socket.write(message(ACCEPTED, [timeoutOf(call) + ANSWER_GRACE_MS]));
    const io = this.#createIo(call);
    const answer = await answerCall(io);
    if (io.isForExecutable) return refuse(socket);
    let isPrinted: boolean;
    try {
      socket.write(formatAnswer(answer, io.notes));
      isPrinted = await this.#printed(chunks);
    } catch {
      isPrinted = false;
    }
    socket.end();
    if (!isPrinted) await answer.undo?.();
  }

  /** Waits until the plugin has printed the answer; false when it ended before. */
  async #printed(chunks: AsyncIterator<Uint8Array>): Promise<boolean> {
    const timer = startTimer(this.#limits.printMs);
    try {
      return await Promise.race([
        chunks.next().then(({ done }) => !done, () => false),
        timer.expired.then(() => true),
      ]);
    } finally {
      timer.cancel();
    }
  }

  /**
   * The effects of a call in the agent. Whatever only the caller may do, with
   * its own permissions, makes the call one for the executable.
   */
  #createIo({ variables, stdin }: NativeCall) {
    const { socketPath, connect, now, uptimeMs, randomId } = this.#options;
    const forExecutable = (): never => {
      io.isForExecutable = true;
      throw new Error("the executable does this");
    };
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const io = {
      isForExecutable: false,
      notes: "",
      env(name: string) {
        const bytes = variables.get(name);
        return bytes && decoder.decode(bytes);
      },
      readStdin: () => Promise.resolve({ kind: "read" as const, bytes: stdin }),
      stderr(text: string) {
        io.notes += text;
      },
      startTimer,
      connect: (path: string) =>
        path === socketPath ? connect() : Promise.try(forExecutable),
      queue: { exists: forExecutable, write: forExecutable },
      connectStellar: () => Promise.try(forExecutable),
      findNamespace: () => Promise.try(forExecutable),
      bootId: () => Promise.try(forExecutable),
      // The agent undoes an ADD whose answer is lost.
      mayQueueUndo: false,
      ...{ now, uptimeMs, randomId },
    } satisfies CniIo & Record<string, unknown>;
    return io;
  }
}

/** Receives a call. Undefined: it is not valid, or the plugin ended before. */
async function receive(
  chunks: AsyncIterator<Uint8Array>,
): Promise<NativeCall | undefined> {
  let bytes = new Uint8Array(1024);
  let length = 0;
  let wanted = HEAD_BYTES;
  let variablesEnd = 0;
  for (;;) {
    while (length < wanted) {
      const { done, value } = await chunks.next();
      if (done) return undefined;
      if (length + value.length > bytes.length) {
        const larger = new Uint8Array(
          Math.max(bytes.length * 2, length + value.length),
        );
        larger.set(bytes.subarray(0, length));
        bytes = larger;
      }
      bytes.set(value, length);
      length += value.length;
    }
    if (variablesEnd > 0) break;
    const view = new DataView(bytes.buffer);
    const variablesLength = view.getUint32(NATIVE_CALL.length);
    const stdinLength = view.getUint32(NATIVE_CALL.length + 4);
    if (
      variablesLength > MAX_VARIABLES_BYTES || stdinLength > MAX_STDIN_BYTES
    ) return undefined;
    variablesEnd = HEAD_BYTES + variablesLength;
    wanted = variablesEnd + stdinLength;
  }
  return {
    variables: parseVariables(bytes.subarray(HEAD_BYTES, variablesEnd)),
    stdin: bytes.subarray(variablesEnd, wanted),
  };
}

function parseVariables(bytes: Uint8Array): Map<string, Uint8Array> {
  const variables = new Map<string, Uint8Array>();
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0, at);
    if (end < 0) break;
    const equals = bytes.subarray(at, end).indexOf(EQUALS);
    const name = new TextDecoder().decode(bytes.subarray(at, at + equals));
    // As in an environment, the first of several counts.
    if (equals > 0 && !variables.has(name)) {
      variables.set(name, bytes.subarray(at + equals + 1, end));
    }
    at = end + 1;
  }
  return variables;
}

const EQUALS = "=".charCodeAt(0);

/** The timeout in the configuration of a call, in ms. */
function timeoutOf({ stdin }: NativeCall): number {
  try {
    const config = decodeObject(stdin, "the network configuration");
    return parseConfig(config, "DEL").ipam.timeoutMs;
  } catch {
    return DEFAULT_TIMEOUT_MS;
  }
}

function formatAnswer(
  { exitCode, text }: CniAnswer,
  notes: string,
): Uint8Array {
  const encoder = new TextEncoder();
  const [stdout, stderr] = [encoder.encode(text), encoder.encode(notes)];
  const head = message(ANSWER, [exitCode, stdout.length, stderr.length]);
  const bytes = new Uint8Array(head.length + stdout.length + stderr.length);
  bytes.set(head);
  bytes.set(stdout, head.length);
  bytes.set(stderr, head.length + stdout.length);
  return bytes;
}

function message(kind: number, numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(1 + 4 * numbers.length);
  bytes[0] = kind;
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, i) => view.setUint32(1 + 4 * i, number));
  return bytes;
}

function refuse(socket: NativeSocket): void {
  socket.write(message(RUN_EXECUTABLE, []));
  socket.end();
}

function startTimer(ms: number): CniTimer {
  const { promise: expired, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return {
    expired,
    cancel() {
      clearTimeout(timer);
      resolve();
    },
  };
}
