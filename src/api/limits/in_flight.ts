import { Code, ConnectError } from "@connectrpc/connect";
import type { ClientShare } from "./clients.ts";

/** A call that is not answered yet, or whose answer the client has not read. */
export interface InFlightCall {
  /** Its client's share of the server; undefined for a client without limits. */
  readonly share: ClientShare | undefined;
  /** Called about once a second, for the call to end itself when it is late. */
  check(now: number): void;
}

const CHECK_INTERVAL_MS = 1000;

/** The in-flight calls of a server, and the bytes that each has received. */
export class InFlightCalls {
  /** Bytes by call. */
  readonly #calls = new Map<InFlightCall, number>();
  readonly #maxBytes: number;
  /** Runs only while there are calls: each wake-up costs an idle agent. */
  #timer: ReturnType<typeof setInterval> | undefined;
  #bytes = 0;

  /** @param maxBytes limit on what all of them have received together */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#calls.size;
  }

  /** Counts a call. @throws {ConnectError} RESOURCE_EXHAUSTED, and does not count it, when its client has too many */
  add(call: InFlightCall): void {
    call.share?.begin();
    this.#calls.set(call, 0);
    this.#timer ??= setInterval(() => this.#check(), CHECK_INTERVAL_MS);
  }

  /** Forgets a call that has ended. One that was not counted makes no difference. */
  delete(call: InFlightCall): void {
    const bytes = this.#calls.get(call);
    if (bytes === undefined) return;
    this.#bytes -= bytes;
    this.#calls.delete(call);
    call.share?.end(bytes);
  }

  /**
   * Counts bytes that a call has received.
   *
   * @throws {ConnectError} RESOURCE_EXHAUSTED when it is too much for the server or for its client
   */
  receive(call: InFlightCall, bytes: number): void {
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
    this.#timer = undefined;
  }

  #check(): void {
    if (this.#calls.size === 0) return this.close();
    const now = performance.now();
    for (const call of this.#calls.keys()) call.check(now);
  }
}
