import { signalChild } from "./signal_child.ts";
import { waitFor } from "./wait_for.ts";

/** A program that runs until it is ended. Disposing of it interrupts it, as Ctrl-C does, and waits for its end. */
export class RunningProcess implements AsyncDisposable {
  /** What it has written so far. */
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<void>;
  #hasEnded = false;

  /** @param env added to this process's environment */
  constructor(
    [command = "", ...args]: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#child = new Deno.Command(command, {
      ...{ args, env: { ...env } },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#ended = Promise.all([
      this.#child.status,
      collect(this.#child.stdout, (text) => this.stdout += text),
      collect(this.#child.stderr, (text) => this.stderr += text),
    ]).then(() => {
      this.#hasEnded = true;
    });
  }

  /** Waits for a text in its output, and returns it. @throws {Error} with all of its output, when it ends without */
  async find(pattern: RegExp): Promise<string> {
    const found = await waitFor(`${pattern} in the output`, () => {
      const match = pattern.exec(this.stdout);
      return match ?? (this.#hasEnded && { 0: undefined });
    });
    if (found && found[0] !== undefined) return found[0];
    throw new Error(`Cannot find ${pattern}: ${this.stdout}${this.stderr}`);
  }

  /** Sends a signal, and waits for the end. */
  async end(signal: Deno.Signal): Promise<void> {
    signalChild(this.#child, signal);
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGINT");
  }
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    take(text);
  }
}
