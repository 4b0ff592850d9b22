import type { QueuedRelease, ReleaseQueue } from "../../src/cni/queue.ts";
import type { Owner } from "../../src/base/names.ts";

/** A queue of releases in memory. */
export class FakeReleaseQueue implements ReleaseQueue {
  readonly #entries: QueuedRelease[] = [];
  #pushed = 0;
  /** Whether entries cannot be removed. */
  isReadOnly = false;

  /** Queues a release, as a plugin does. */
  push(owner: Owner, entry: Partial<QueuedRelease> = {}): void {
    const id = String(this.#pushed++);
    this.#entries.push({ id, owner, requestedAtMs: 0, ...entry });
  }

  size(): Promise<number> {
    return Promise.resolve(this.#entries.length);
  }

  list(): Promise<QueuedRelease[]> {
    return Promise.resolve([...this.#entries]);
  }

  remove(id: string): Promise<void> {
    if (this.isReadOnly) return Promise.reject(new Error("read-only"));
    const index = this.#entries.findIndex((entry) => entry.id === id);
    this.#entries.splice(index, 1);
    return Promise.resolve();
  }
}
