import { Code, ConnectError } from "@connectrpc/connect";

/** A call that is under way. */
export interface OpenCall {
  /** Called about once a second, so that the call can see that it is late. */
  check(now: number): void;
}

const CHECK_INTERVAL_MS = 1000;

/** The calls of a server that are under way, and how much they have received. */
export class OpenCalls {
  /** Bytes by call. */
  readonly #calls = new Map<OpenCall, number>();
  readonly #maxBytes: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #bytes = 0;

  /** @param maxBytes what they may have received together */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#timer = setInterval(() => {
      const now = Date.now();
      for (const call of this.#calls.keys()) call.check(now);
    }, CHECK_INTERVAL_MS);
  }

  /** How many there are. */
  get count(): number {
    return this.#calls.size;
  }

  add(call: OpenCall): void {
    this.#calls.set(call, 0);
  }

  /** Takes a call out that is done. */
  delete(call: OpenCall): void {
    this.#bytes -= this.#calls.get(call) ?? 0;
    this.#calls.delete(call);
  }

  /**
   * Counts what a call has received.
   *
   * @throws {ConnectError} when it is too much for the server
   */
  receive(call: OpenCall, bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new ConnectError(
        "the agent is receiving too much at once; try again",
        Code.ResourceExhausted,
      );
    }
    const before = this.#calls.get(call);
    if (before === undefined) return;
    this.#bytes += bytes;
    this.#calls.set(call, before + bytes);
  }

  /** Stops the checks. */
  close(): void {
    clearInterval(this.#timer);
  }
}
