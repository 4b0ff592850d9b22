import { MAX_BACKLOG } from "./change_feed.ts";
import type { Change, Entry, WatchEvent } from "./store.ts";

/**
 * The events of a watch that its reader has not read yet. When there are too
 * many, they are dropped, and the watch has to restart from a snapshot.
 */
export class WatchBacklog {
  #snapshot: readonly Entry[] | null = null;
  #changes: Change[] = [];
  #isLost = false;
  #end: { readonly error?: unknown } | null = null;
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};
  #isWanted = false;

  /** Called when events were dropped. */
  onLost: () => void = () => {};

  /** Whether events were dropped, and no snapshot has come since. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Restarts from a snapshot. */
  restart(entries: readonly Entry[]): void {
    this.#isLost = false;
    this.#changes = [];
    this.#snapshot = entries;
    this.#wakeReader();
  }

  /** Adds the changes of whole commits. */
  push(changes: readonly Change[]): void {
    if (this.#isLost || this.#end) return;
    this.#changes.push(...changes);
    if (this.#changes.length > MAX_BACKLOG) {
      this.#snapshot = null;
      this.#changes = [];
      this.#isLost = true;
      this.onLost();
    } else {
      this.#wakeReader();
    }
  }

  /** Ends it at once, with everything unread. The reader gets the error. */
  end(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wakeReader();
    this.#wakeWriter();
  }

  /** Waits until the reader has read everything and asks for more. */
  async wanted(): Promise<void> {
    while (!this.#isWanted && !this.#end) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
  }

  async *read(): AsyncGenerator<WatchEvent> {
    for (;;) {
      if (this.#end) {
        if ("error" in this.#end) throw this.#end.error;
        return;
      }
      if (this.#snapshot) {
        const entries = this.#snapshot;
        this.#snapshot = null;
        yield { kind: "snapshot", entries };
      } else if (this.#changes.length > 0) {
        const changes = this.#changes;
        this.#changes = [];
        yield { kind: "changes", changes };
      } else {
        this.#isWanted = true;
        this.#wakeWriter();
        await new Promise<void>((resolve) => this.#wakeReader = resolve);
        this.#isWanted = false;
      }
    }
  }
}
