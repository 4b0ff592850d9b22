import { Code, ConnectError } from "@connectrpc/connect";
import type { ClientShare } from "./clients.ts";

/** A call that is under way. */
export interface OpenCall {
  /** What its client has of the server; undefined where that has no limits. */
  readonly share: ClientShare | undefined;
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
      const now = performance.now();
      for (const call of this.#calls.keys()) call.check(now);
    }, CHECK_INTERVAL_MS);
  }

  /** How many there are. */
  get count(): number {
    return this.#calls.size;
  }

  /** Counts a call. @throws {ConnectError} when it is one too many of its client: it is not counted then */
  add(call: OpenCall): void {
    call.share?.begin();
    this.#calls.set(call, 0);
  }

  /** Takes a call out that is done, if it was counted. */
  delete(call: OpenCall): void {
    const bytes = this.#calls.get(call);
    if (bytes === undefined) return;
    this.#bytes -= bytes;
    this.#calls.delete(call);
    call.share?.end(bytes);
  }

  /**
   * Counts what a call has received.
   *
   * @throws {ConnectError} when it is too much for the server, or of its client
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
    call.share?.receive(bytes);
    this.#bytes += bytes;
    this.#calls.set(call, before + bytes);
  }

  /** Stops the checks. */
  close(): void {
    clearInterval(this.#timer);
  }
}
