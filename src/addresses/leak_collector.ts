import { getLogger } from "@logtape/logtape";
import { type Allocation, formatOwner, ownerKey } from "./plan/allocation.ts";
import {
  type LeakCandidate,
  type LeakCandidates,
  type LeakEvidence,
  planLeaks,
} from "./plan/leak.ts";
import type { NetnsLookup } from "../system/netns.ts";
import type { Allocator } from "./allocator.ts";

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
