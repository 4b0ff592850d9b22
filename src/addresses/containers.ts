import type { NetnsLookup } from "../system/netns.ts";
import type { ReleaseQueue } from "./release_queue.ts";
import type { Allocation, Attachment } from "./plan/allocation.ts";
import type { Allocator } from "./allocator.ts";
import { LeakCollector } from "./leak_collector.ts";

/** Options of the containers. */
export interface ContainersOptions {
  readonly netns: NetnsLookup;
  /** Releases that CNI plugins queued while the agent was down. */
  readonly queue: ReleaseQueue;
  /** Id of this boot of the host (`/proc/sys/kernel/random/boot_id`). */
  readonly bootId: string;
  /** How long an address that seems to be leaked is kept after the first look, in ms. */
  readonly leakGraceMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/** What this node knows of its containers: which are gone, and whose release waits. */
export class Containers {
  readonly #options: ContainersOptions;
  readonly #leaks: LeakCollector;

  constructor(options: ContainersOptions) {
    this.#options = options;
    this.#leaks = new LeakCollector({
      ...options,
      graceMs: options.leakGraceMs,
    });
  }

  /** What to keep of a container that is added now. An empty path: it is not known. */
  async attach(netns: string): Promise<Attachment> {
    const { bootId } = this.#options;
    const netnsSeen = netns !== "" &&
      await this.#options.netns.look(netns) === "there";
    return { netns, netnsSeen, bootId };
  }

  /** Why an allocation seems to be leaked; empty when it does not. */
  leakOf(allocation: Allocation): string {
    return this.#leaks.reasonOf(allocation) ?? "";
  }

  /** Looks for leaked addresses, and releases those that were found a grace time before. */
  async collectLeaks(allocator: Allocator | undefined): Promise<void> {
    if (allocator) await this.#leaks.look(allocator);
  }

  /** Applies the releases that CNI plugins queued while the agent was down. */
  async applyQueue(allocator: Allocator | undefined): Promise<void> {
    const { queue } = this.#options;
    for (const { id, owner, requestedAtMs } of await queue.list()) {
      await allocator?.release(
        owner,
        { cause: "queued", text: "CNI DEL while the agent was down" },
        ({ allocatedAtMs }) => allocatedAtMs <= requestedAtMs,
      );
      await queue.remove(id);
    }
  }

  /** How many releases wait, and how many allocations seem to be leaked. */
  async counts(): Promise<
    { readonly queued: number; readonly leaked: number }
  > {
    return {
      queued: await this.#options.queue.size(),
      leaked: this.#leaks.candidates.length,
    };
  }
}
