import { NetError } from "../base/error.ts";
import type {
  Command,
  CommandFollower,
  CommandOutput,
  CommandRunner,
  FollowOptions,
} from "./command.ts";

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
    const child = spawn(command, {
      stdin: stdin === undefined ? "null" : "piped",
      signal: AbortSignal.timeout(this.#timeoutMs),
    });
    try {
      // Together: a program that prints much before it has read all its input
      // would block otherwise.
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
        pid: child.pid,
      };
    } catch (cause) {
      if (cause instanceof NetError) throw cause;
      throw new NetError("unavailable", `Cannot run "${program}"`, { cause });
    }
  }
}

/** Follows programs with `Deno.Command`. */
export class DenoCommandFollower implements CommandFollower {
  async *follow(
    command: Omit<Command, "stdin">,
    { signal }: FollowOptions,
  ): AsyncGenerator<string> {
    if (signal.aborted) return;
    const child = spawn(command, { stdin: "null" });
    await using _guard = guard(child);
    const end = () => kill(child);
    signal.addEventListener("abort", end, { once: true });
    try {
      for await (const line of mergeLines([child.stdout, child.stderr])) {
        if (signal.aborted) break;
        yield line;
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
      await child.status;
    }
  }
}

function spawn(
  { program, args }: Command,
  options: Pick<Deno.CommandOptions, "stdin" | "signal">,
): Deno.ChildProcess {
  return starting(program, (environment) =>
    new Deno.Command(program, {
      args: [...args],
      ...environment,
      stdout: "piped",
      stderr: "piped",
      ...options,
    }).spawn());
}

/** Writes a program's input. A program that ends without reading all of it is not an error. */
async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/**
 * Ends a program together with this process, even if this process is killed:
 * the guard's input ends then. A program that lived on would keep the file
 * descriptors that it has inherited, such as the socket of an agent that is
 * gone (node:net opens it without FD_CLOEXEC).
 *
 * @returns a disposable for the time when the program has ended
 */
function guard({ pid }: Deno.ChildProcess): AsyncDisposable {
  const guard = spawnGuard(pid);
  return {
    async [Symbol.asyncDispose]() {
      if (!guard) return;
      kill(guard, "SIGKILL");
      await guard.status;
      await guard.stdin.close();
    },
  };
}

/** A process that ends another one when its input ends; undefined where it may not be started. */
function spawnGuard(pid: number): Deno.ChildProcess | undefined {
  try {
    return starting("sh", (environment) =>
      new Deno.Command("sh", {
        args: ["-c", 'read -r _; kill "$1"', "sh", String(pid)],
        ...environment,
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn());
  } catch {
    return undefined;
  }
}

function kill(
  child: Deno.ChildProcess,
  signal: Deno.Signal = "SIGTERM",
): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended already: Ctrl-C in a terminal reaches all programs of a group.
  }
}

/** The lines of several streams, as they come, until all streams have ended. */
function mergeLines(
  streams: readonly ReadableStream<Uint8Array<ArrayBuffer>>[],
): ReadableStream<string> {
  const abort = new AbortController();
  return new ReadableStream<string>({
    async start(controller) {
      await Promise.allSettled(streams.map((stream) => {
        let rest = "";
        const sink = new WritableStream<string>({
          write(text) {
            const lines = (rest + text).split("\n");
            rest = lines.pop()!;
            for (const line of lines) controller.enqueue(line);
          },
          close() {
            if (rest !== "") controller.enqueue(rest);
          },
        });
        return stream.pipeThrough(new TextDecoderStream())
          .pipeTo(sink, { signal: abort.signal });
      }));
      if (!abort.signal.aborted) controller.close();
    },
    cancel: () => abort.abort(),
  });
}

export type ProgramEnvironment = Pick<Deno.CommandOptions, "clearEnv" | "env">;

/**
 * Starts a program with this process's environment in the C locale.
 *
 * @param start makes the program's process; throws when it cannot
 * @throws {NetError} `unavailable` when the program cannot be started
 */
export function starting<T>(
  program: string,
  start: (environment: ProgramEnvironment) => T,
): T {
  const fail = (problem: string, cause: unknown) =>
    new NetError("unavailable", `Cannot run "${program}": ${problem}`, {
      cause,
    });
  let environment: ProgramEnvironment;
  try {
    environment = programEnvironment();
  } catch (cause) {
    throw fail("this process may not read the variable PATH", cause);
  }
  try {
    return start(environment);
  } catch (cause) {
    const problem = cause instanceof Deno.errors.NotFound
      ? "it is not installed"
      : cause instanceof Deno.errors.NotCapable
      ? "it was in no folder of PATH when this process started"
      : "it cannot be started";
    throw fail(problem, cause);
  }
}

/**
 * A process that may start only some programs gives them only PATH: the runtime
 * refuses to pass LD_PRELOAD and its like on. It looks a program up in the PATH
 * of the new environment, and grants only the file that it found at its own
 * start: both have to be the same PATH.
 */
function programEnvironment(): ProgramEnvironment {
  const env = { LC_ALL: "C" };
  const { state } = Deno.permissions.querySync({ name: "run" });
  if (state === "granted") return { env };
  const path = Deno.env.get("PATH");
  return {
    clearEnv: true,
    env: path === undefined ? env : { ...env, PATH: path },
  };
}
