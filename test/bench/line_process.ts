/**
 * A program of this folder in a process of its own that answers line by line:
 * each question is a line of JSON, and so is each answer. Disposing of it ends it.
 */
export class LineProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  /** @param file its name, from this folder */
  constructor(file: string, args: readonly string[] = []) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL(file, import.meta.url).href, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Asks and waits for the answer: one question at a time.
   *
   * @throws {Error} when the process has ended; it says why on stderr
   */
  async ask<T>(question: unknown): Promise<T> {
    const line = JSON.stringify(question) + "\n";
    await this.#input.write(new TextEncoder().encode(line));
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#output.read();
      if (done) throw new Error("Cannot measure: the client has ended");
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const answer = JSON.parse(this.#rest.slice(0, end)) as T;
    this.#rest = this.#rest.slice(end + 1);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // One that has ended already takes no more.
    await this.#input.close().catch(() => {});
    await this.#output.cancel();
    await this.#child.status;
  }
}

/** Answers the questions of {@linkcode LineProcess.ask} until there are no more, and ends. */
export async function answerLines<Q>(
  answer: (question: Q) => unknown,
): Promise<never> {
  let rest = "";
  for await (
    const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      console.log(JSON.stringify(await answer(JSON.parse(line)) ?? null));
    }
  }
  Deno.exit(0);
}
