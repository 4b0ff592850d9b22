import { signalChild } from "../support/signal_child.ts";
import { execArgs } from "./netns.ts";

export interface PingerOptions {
  /** Default 100. */
  readonly perSecond?: number;
}

/** What became of a number of pings. */
export interface PingReport {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  /** The most that were lost in a row. */
  readonly lostInRow: number;
}

/** How long an answer may be on its way. */
const TIMEOUT_MS = 1_000;

/** Sends pings from a network namespace, steadily, and counts the answers. Disposing of it ends it. */
export class Pinger implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #answered = new Set<number>();
  readonly #ended: Promise<unknown>;
  #lastAnswered = -1;
  #stderr = "";

  constructor(netns: string, address: string, options: PingerOptions = {}) {
    const { perSecond = 100 } = options;
    // iputils' ping oversleeps: it sends 60 a second when told 100. This one
    // keeps its pace, whether answers come or not, and numbers from 0.
    const args = ["fping", "--loop"].concat(
      "--period",
      String(1_000 / perSecond),
    )
      .concat("--timeout", String(TIMEOUT_MS), address);
    this.#child = new Deno.Command("ip", {
      args: execArgs(netns, args),
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#ended = Promise.all([
      this.#readAnswers(),
      this.#readErrors(),
      this.#child.status,
    ]);
  }

  /** How many have been answered so far. */
  get received(): number {
    return this.#answered.size;
  }

  /**
   * Ends it. Pings of the last second without an answer are not counted: let
   * some be answered before you ask whether any was lost.
   *
   * @throws {Error} with what it wrote, when it could not ping
   */
  async stop(): Promise<PingReport> {
    signalChild(this.#child, "SIGINT");
    await this.#ended;
    const total = /xmt\/rcv\/%loss = (\d+)\//.exec(this.#stderr)?.[1];
    if (total === undefined) {
      throw new Error(`Cannot ping: ${this.#stderr.trim()}`);
    }
    // Its total leaves out all pings that it still waited for, also those
    // that were sent before the last that was answered.
    const sent = Math.max(Number(total), this.#lastAnswered + 1);
    let lostInRow = 0;
    let row = 0;
    for (let number = 0; number < sent; number++) {
      row = this.#answered.has(number) ? 0 : row + 1;
      lostInRow = Math.max(lostInRow, row);
    }
    const received = this.#answered.size;
    return { sent, received, lost: sent - received, lostInRow };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await this.#ended;
  }

  async #readAnswers(): Promise<void> {
    let rest = "";
    for await (const text of decode(this.#child.stdout)) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const digits = / : \[(\d+)\], \d+ bytes/.exec(line)?.[1];
        if (digits === undefined) continue;
        const number = Number(digits);
        this.#answered.add(number);
        this.#lastAnswered = Math.max(this.#lastAnswered, number);
      }
    }
  }

  async #readErrors(): Promise<void> {
    for await (const text of decode(this.#child.stderr)) this.#stderr += text;
  }
}

function decode(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStream<string> {
  return stream.pipeThrough(new TextDecoderStream());
}
