import { NetError } from "../error.ts";
import type { Command } from "./command.ts";
import type { CommandFollower, FollowOptions } from "./command_follower.ts";

/** Follows programs with `Deno.Command`. */
export class DenoCommandFollower implements CommandFollower {
  async *follow(
    command: Omit<Command, "stdin">,
    { signal }: FollowOptions,
  ): AsyncGenerator<string> {
    if (signal.aborted) return;
    const child = spawn(command);
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
          : "it cannot be started"
      }`,
      { cause },
    );
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
