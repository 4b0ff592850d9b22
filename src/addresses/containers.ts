import { getLogger } from "@logtape/logtape";
import type { NetnsLookup } from "../system/netns.ts";
import type { Allocator } from "./allocator.ts";
import {
  type Allocation,
  type Attachment,
  formatOwner,
  ownerKey,
} from "./plan/allocation.ts";
import {
  type LeakCandidate,
  type LeakCandidates,
  type LeakEvidence,
  planLeaks,
} from "./plan/leak.ts";
import type { ReleaseQueue } from "../cni/queue.ts";

const log = getLogger(["stellar-net", "agent", "leaks"]);

/** Options of a collector. */
export interface LeakCollectorOptions {
  readonly netns: NetnsLookup;
  /** Id of this boot of the host. */
  readonly bootId: string;
  /** How long after the first look that found evidence an address is released, in ms. */
  readonly graceMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/**
 * Finds addresses whose container is gone, by evidence: it was started before
 * this boot, or its network namespace was there and is no longer. Only what a
 * CNI runtime asked for is looked at.
 */
export class LeakCollector {
  readonly #options: LeakCollectorOptions;
  /** The namespaces that were there at some look: those alone can vanish. */
  readonly #seen = new Set<string>();
  #candidates: LeakCandidates = new Map();

  constructor(options: LeakCollectorOptions) {
    this.#options = options;
  }

  /** The allocations that seem to be leaked. */
  get candidates(): readonly LeakCandidate[] {
    return [...this.#candidates.values()];
  }

  /** Why an allocation seems to be leaked, undefined when it does not. */
  reasonOf(allocation: Allocation): string | undefined {
    const candidate = this.#candidates.get(ownerKey(allocation.owner));
    return candidate?.allocation.allocatedAtMs === allocation.allocatedAtMs
      ? candidate.reason
      : undefined;
  }

  /** Looks at every container, releases what is leaked, and returns how much that was. */
  async look(allocator: Allocator): Promise<number> {
    const { now, graceMs } = this.#options;
    const held = await allocator.select((a) => a.attachment !== undefined);
    const evidence = await this.#collectEvidence(held);
    const plan = planLeaks(this.#candidates, evidence, {
      nowMs: now(),
      graceMs,
    });
    this.#candidates = plan.candidates;
    for (const { allocation, reason } of plan.release) {
      await allocator.release(
        allocation.owner,
        { cause: "leaked", text: `leaked: ${reason}` },
        (current) => current.allocatedAtMs === allocation.allocatedAtMs,
      );
      const left = new Map(this.#candidates);
      left.delete(ownerKey(allocation.owner));
      this.#candidates = left;
      log.info("Released the leaked addresses of {owner}: {reason}", {
        owner: formatOwner(allocation.owner),
        reason,
      });
    }
    return plan.release.length;
  }

  async #collectEvidence(held: readonly Allocation[]): Promise<LeakEvidence[]> {
    const evidence: LeakEvidence[] = [];
    const paths = new Set<string>();
    for (const allocation of held) {
      const { attachment } = allocation;
      if (!attachment) continue;
      if (attachment.netns !== "") paths.add(attachment.netns);
      const reason = attachment.bootId !== this.#options.bootId
        ? "the host was booted again since"
        : await this.#netnsReason(attachment.netns, attachment.netnsSeen);
      if (reason !== undefined) evidence.push({ allocation, reason });
    }
    for (const path of this.#seen) {
      if (!paths.has(path)) this.#seen.delete(path);
    }
    return evidence;
  }

  async #netnsReason(
    path: string,
    seenBefore: boolean,
  ): Promise<string | undefined> {
    if (path === "") return undefined;
    const state = await this.#options.netns.look(path);
    if (state === "there") this.#seen.add(path);
    const wasThere = seenBefore || this.#seen.has(path);
    return state === "gone" && wasThere
      ? `its network namespace ${path} is gone`
      : undefined;
  }
}

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
