import { NetError } from "../base/error.ts";
import type { Command, CommandOutput, CommandRunner } from "./command.ts";

const TIMEOUT_MS = 10_000;

/** Runs programs with `Deno.Command`. */
export class DenoCommandRunner implements CommandRunner {
  readonly #timeoutMs: number;

  /** @param timeoutMs how long a program may take; default 10,000 */
  constructor(
    { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
  ) {
    this.#timeoutMs = timeoutMs;
  }

  async run(command: Command): Promise<CommandOutput> {
    const { program, args, stdin } = command;
    const child = this.#spawn(command);
    try {
      // At once: a program that says much before it has read all would wait.
      const [{ code, signal, stdout, stderr }] = await Promise.all([
        child.output(),
        stdin === undefined ? undefined : feed(child, stdin),
      ]);
      if (signal !== null) {
        throw new NetError(
          "unavailable",
          `Cannot run "${program} ${
            args.join(" ")
          }": it was ended by ${signal}`,
        );
      }
      const decoder = new TextDecoder();
      return {
        code,
        stdout: decoder.decode(stdout),
        stderr: decoder.decode(stderr),
      };
    } catch (cause) {
      if (cause instanceof NetError) throw cause;
      throw new NetError("unavailable", `Cannot run "${program}"`, { cause });
    }
  }

  #spawn({ program, args, stdin }: Command): Deno.ChildProcess {
    try {
      return new Deno.Command(program, {
        args: [...args],
        env: { LC_ALL: "C" },
        stdin: stdin === undefined ? "null" : "piped",
        stdout: "piped",
        stderr: "piped",
        signal: AbortSignal.timeout(this.#timeoutMs),
      }).spawn();
    } catch (cause) {
      throw new NetError(
        "unavailable",
        `Cannot run "${program}": ${
          cause instanceof Deno.errors.NotFound
            ? "it is not installed"
            : cause instanceof Deno.errors.NotCapable
            ? "it was not installed when this process was started"
            : "it cannot be started"
        }`,
        { cause },
      );
    }
  }
}

/** Writes what a program reads. One that ends without reading it all is no error. */
async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
