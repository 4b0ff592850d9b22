import { Buffer } from "node:buffer";

/** What a command did: its exit code, 128 and the signal's number if one ended it. */
export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether `env` is the whole environment. Default false. */
  readonly clearEnv?: boolean;
  readonly cwd?: string;
  /** What the command reads; nothing by default. */
  readonly stdin?: string;
  /** Default 300,000: more than a command takes on a machine under load. */
  readonly timeoutMs?: number;
}

/**
 * Runs a command to its end and collects what it wrote. An exit code other
 * than 0 is not an error.
 *
 * @throws {Error} when the command cannot be started, or is not done in time;
 * then it has been killed
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { env = {}, clearEnv = false, cwd, stdin = "", timeoutMs = 300_000 } =
    options;
  const child = new Deno.Command(command, {
    args: [...args],
    env: { ...env },
    clearEnv,
    ...(cwd === undefined ? {} : { cwd }),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = new Collected(child.stdout);
  const stderr = new Collected(child.stderr);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
    // What it started may hold its pipes open for as long as that runs.
    void child.status.then(() => {
      stdout.cancel();
      stderr.cancel();
    });
  }, timeoutMs);
  try {
    const [{ code }] = await Promise.all([
      child.status,
      feed(child, stdin),
      stdout.done,
      stderr.done,
    ]);
    const result = { code, stdout: stdout.text(), stderr: stderr.text() };
    if (late) {
      throw new Error(
        `Cannot run ${
          [command, ...args].join(" ")
        }: it was not done within ${timeoutMs} ms\n${result.stderr}${result.stdout}`,
      );
    }
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** What a command has written to a pipe. */
class Collected {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #chunks: Uint8Array[] = [];
  /** Resolves at the end of the pipe, or once it is cancelled. */
  readonly done: Promise<void>;

  constructor(pipe: ReadableStream<Uint8Array>) {
    this.#reader = pipe.getReader();
    this.done = this.#collect();
  }

  cancel(): void {
    // It has failed if the command failed to write.
    this.#reader.cancel().catch(() => {});
  }

  text(): string {
    return new TextDecoder().decode(Buffer.concat(this.#chunks));
  }

  async #collect(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      this.#chunks.push(value);
    }
  }
}

/** Writes a command's standard input. One that ends without reading it all is not an error. */
async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
