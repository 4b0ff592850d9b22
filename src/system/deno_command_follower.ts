import { NetError } from "../base/error.ts";
import type { Command, CommandFollower, FollowOptions } from "./command.ts";

/** Follows programs with `Deno.Command`. */
export class DenoCommandFollower implements CommandFollower {
  async *follow(
    command: Omit<Command, "stdin">,
    { signal }: FollowOptions,
  ): AsyncGenerator<string> {
    if (signal.aborted) return;
    const child = spawn(command);
    await using _guard = guard(child);
    const end = () => kill(child);
    signal.addEventListener("abort", end, { once: true });
    const said = merge([child.stdout, child.stderr]);
    try {
      for await (const text of said) {
        if (signal.aborted) break;
        yield text;
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
      await child.status;
    }
  }
}

function spawn({ program, args }: Omit<Command, "stdin">): Deno.ChildProcess {
  try {
    return new Deno.Command(program, {
      args: [...args],
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
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

/**
 * Sees to it that a program ends with this process, also when that is killed:
 * its input ends then. A program that goes on would keep what it has inherited,
 * such as the socket of an agent that is gone (node:net opens it without
 * FD_CLOEXEC).
 *
 * @returns what is disposed of once the program has ended
 */
function guard({ pid }: Deno.ChildProcess): AsyncDisposable {
  const guard = spawnGuard(pid);
  return {
    async [Symbol.asyncDispose]() {
      if (!guard) return;
      guard.kill("SIGKILL");
      await guard.status;
      await guard.stdin.close();
    },
  };
}

/** What ends a process when this one is gone; undefined where it may not be started. */
function spawnGuard(pid: number): Deno.ChildProcess | undefined {
  try {
    return new Deno.Command("sh", {
      args: ["-c", 'read -r _; kill "$1"', "sh", String(pid)],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch {
    return undefined;
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended already.
  }
}

/** What several streams say, as it comes, until all have ended. */
function merge(
  streams: readonly ReadableStream<Uint8Array<ArrayBuffer>>[],
): ReadableStream<string> {
  const abort = new AbortController();
  return new ReadableStream<string>({
    async start(controller) {
      await Promise.allSettled(
        streams.map((stream) =>
          stream.pipeThrough(new TextDecoderStream()).pipeTo(
            new WritableStream({ write: (text) => controller.enqueue(text) }),
            { signal: abort.signal },
          )
        ),
      );
      if (!abort.signal.aborted) controller.close();
    },
    cancel: () => abort.abort(),
  });
}
