import { fileURLToPath } from "node:url";
import type { Namespace } from "./namespace.ts";
import type { ShownCertificate } from "./test_authority.ts";

const SCRIPT = fileURLToPath(new URL("many_connections.py", import.meta.url));

/** Connections to make. */
export interface ManyOptions {
  readonly host: string;
  readonly port: number;
  /** The addresses that they come from. */
  readonly from: readonly string[];
  /** How many from each. */
  readonly each: number;
  /** What each sends at first, in turn, in latin-1. */
  readonly starts: readonly string[];
  /** Present where each does the handshake. */
  readonly tls?: ShownCertificate;
}

/** How many connections were made, and how many the server has left open. */
export interface ManyCount {
  readonly made: number;
  readonly open: number;
}

/** Many connections that a process in a namespace makes, and keeps until it is disposed of. */
export class ManyConnections implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #texts: ReadableStreamDefaultReader<string>;

  constructor({ within }: Namespace, options: ManyOptions) {
    const [command, ...words] = [...within, "/usr/bin/python3", SCRIPT];
    this.#child = new Deno.Command(command!, {
      args: words,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#texts = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    this.#ask(JSON.stringify(options));
  }

  /** Counts them, once all are made. */
  async count(): Promise<ManyCount> {
    let line = "";
    while (!line.endsWith("\n")) {
      const { done, value } = await this.#texts.read();
      if (done) throw new Error("Cannot count connections: they have ended");
      line += value;
    }
    this.#ask("");
    return JSON.parse(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    // What was asked for is answered, and then it ends.
    while (!(await this.#texts.read()).done);
    await this.#child.status;
  }

  #ask(line: string): void {
    // A closed connection shows it on a read.
    this.#writer.write(new TextEncoder().encode(`${line}\n`)).catch(() => {});
  }
}
