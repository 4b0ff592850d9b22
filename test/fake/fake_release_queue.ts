import type { QueuedRelease, ReleaseQueue } from "../../src/cni/queue.ts";
import type { Owner } from "../../src/addresses/plan/allocation.ts";

/** A queue of releases in memory. */
export class FakeReleaseQueue implements ReleaseQueue {
  readonly #entries: QueuedRelease[] = [];

  /** Queues a release, as a plugin does. */
  push(owner: Owner, requestedAtMs: number): void {
    const id = String(this.#entries.length);
    this.#entries.push({ id, owner, requestedAtMs });
  }

  size(): Promise<number> {
    return Promise.resolve(this.#entries.length);
  }

  list(): Promise<QueuedRelease[]> {
    return Promise.resolve([...this.#entries]);
  }

  remove(id: string): Promise<void> {
    const index = this.#entries.findIndex((entry) => entry.id === id);
    this.#entries.splice(index, 1);
    return Promise.resolve();
  }
}
