import type { ClusterEvent } from "../registry/view.ts";
import type { RegistryPeer } from "../registry/peer.ts";

/** A watch that is read. */
interface Reading {
  readonly end: AbortController;
  /** Resolves with its first event, or its end. */
  readonly first: Promise<"begun" | "over">;
  /** Resolves with why it ended; undefined when the registry did. */
  readonly over: Promise<{ readonly error: unknown }>;
}

/**
 * A watch of a registry that can move to another connection: it begins there,
 * with all that there is, before it ends here.
 */
export class RegistryWatch {
  readonly #peer: RegistryPeer;
  readonly #onEvent: (event: ClusterEvent) => void;
  #move = Promise.withResolvers<"move">();

  constructor(peer: RegistryPeer, onEvent: (event: ClusterEvent) => void) {
    this.#peer = peer;
    this.#onEvent = onEvent;
  }

  /** Moves to a new connection. Where that cannot be had it stays. */
  move(): void {
    this.#move.resolve("move");
  }

  /** Reads until it ends or the signal ends it. @returns why; undefined when the registry has ended it */
  async run(signal: AbortSignal): Promise<unknown> {
    let current = this.#read(signal);
    for (;;) {
      const next = await Promise.race([current.over, this.#move.promise]);
      if (next !== "move") return next.error;
      this.#move = Promise.withResolvers();
      const other = this.#read(signal);
      const what = await Promise.race([
        other.first,
        current.over.then(() => "begun" as const),
      ]);
      if (what === "over") continue;
      current.end.abort();
      await current.over;
      current = other;
    }
  }

  #read(signal: AbortSignal): Reading {
    const end = new AbortController();
    const stop = () => end.abort();
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    const first = Promise.withResolvers<"begun" | "over">();
    const read = async () => {
      try {
        for await (const event of this.#peer.watch(end.signal)) {
          if (end.signal.aborted) break;
          this.#onEvent(event);
          first.resolve("begun");
        }
        return { error: undefined };
      } catch (error) {
        return { error };
      } finally {
        signal.removeEventListener("abort", stop);
        first.resolve("over");
      }
    };
    return { end, first: first.promise, over: read() };
  }
}
