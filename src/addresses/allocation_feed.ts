import type { Allocation } from "./plan/allocation.ts";
import type { PoolChange } from "./plan/node_pool.ts";
import { type Owner, ownerKey } from "../base/names.ts";

/** Changes that a feed remembers, for watchers that resume. */
const MAX_CHANGES = 10_000;
/** Interval between looks at what other processes changed in a shared store, in ms. */
const LOOK_MS = 1_000;
/** Interval of progress messages to a watcher while nothing changes, in ms. */
const PROGRESS_MS = 10_000;

/** An allocation that is gone. */
export interface RemovedAllocation {
  readonly owner: Owner;
  readonly id: string;
}

/** A message for a watcher of a node's allocations. */
export interface AllocationEvent {
  /** Changes are those since the event before, the last one of each owner. */
  readonly kind: "snapshot" | "changes" | "progress";
  readonly allocations: readonly Allocation[];
  readonly removed: readonly RemovedAllocation[];
  /** To resume from; empty where it cannot. */
  readonly revision: string;
}

/** Options of {@linkcode AllocationFeed.follow}. */
export interface FollowOptions {
  /** The revision to resume from; empty: start with a snapshot. */
  readonly from: string;
  /** Whether other processes write to the store as well. */
  readonly isShared: boolean;
  readonly signal: AbortSignal;
  /** Reads the node's allocations while no change is recorded. */
  readonly read: <T>(see: (held: readonly Allocation[]) => T) => Promise<T>;
}

interface FeedChange {
  readonly owner: Owner;
  readonly id: string;
  /** Undefined: it is gone. */
  readonly allocation: Allocation | undefined;
}

/**
 * The last changes of a node's allocations. Watchers read from a position; none
 * has a queue of its own, so that a slow one costs nothing.
 */
export class AllocationFeed {
  /** Names this feed among those of other processes. */
  readonly #epoch: string = crypto.randomUUID();
  #changes: FeedChange[] = [];
  /** Number of changes that are not remembered any more. */
  #dropped = 0;
  #moved = Promise.withResolvers<void>();
  /** The allocations at the last comparison; undefined before it. */
  #known: Map<string, Allocation> | undefined;

  /** The number of changes so far. */
  get head(): number {
    return this.#dropped + this.#changes.length;
  }

  /** The revision at a position. */
  revisionAt(position: number): string {
    return `${this.#epoch}.${position}`;
  }

  /** The position of a revision; undefined where its changes are not remembered. */
  positionOf(revision: string): number | undefined {
    const [epoch, text] = revision.split(".");
    const position = Number(text);
    const isKnown = epoch === this.#epoch && Number.isSafeInteger(position) &&
      position >= this.#dropped && position <= this.head;
    return isKnown ? position : undefined;
  }

  /**
   * Follows the allocations: first a snapshot, or the changes since a revision
   * that is still known; then each change. Ends with the signal.
   */
  async *follow(
    { from, isShared, signal, read }: FollowOptions,
  ): AsyncGenerator<AllocationEvent> {
    let position = this.positionOf(from);
    let toldMs = performance.now();
    while (!signal.aborted) {
      if (position === undefined) {
        const { at, allocations } = await read((held) => ({
          at: this.head,
          allocations: held,
        }));
        position = at;
        if (isShared) this.compare(allocations);
        toldMs = performance.now();
        const revision = this.revisionAt(at);
        yield { kind: "snapshot", allocations, removed: [], revision };
      }
      await this.moved(position, { ms: LOOK_MS, signal });
      if (isShared && !signal.aborted) {
        this.compare(await read((held) => held));
      }
      const head = this.head;
      const changes = this.since(position);
      position = changes && head;
      if (!changes || signal.aborted) continue;
      const isChange = changes.allocations.length + changes.removed.length > 0;
      if (!isChange && performance.now() - toldMs < PROGRESS_MS) continue;
      toldMs = performance.now();
      yield { kind: isChange ? "changes" : "progress", ...changes };
    }
  }

  /** Records changes that are durable. */
  record(changes: readonly PoolChange[]): void {
    for (const change of changes) {
      if (change.kind === "hold" || change.kind === "renew") {
        const { allocation } = change;
        const former = change.kind === "renew" && change.formerOwner;
        if (former) this.#remove({ ...allocation, owner: former });
        this.#add(allocation);
      } else if (change.kind === "release") {
        this.#remove(change.allocation);
      }
    }
    this.#wake();
  }

  /** Records what other processes have changed: the difference to what the node holds now. */
  compare(held: Iterable<Allocation>): void {
    const before = this.#known;
    const now = new Map<string, Allocation>();
    for (const allocation of held) {
      const key = ownerKey(allocation.owner);
      now.set(key, allocation);
      // The ledger reads everything anew after a foreign write.
      const known = before?.get(key);
      if (before && !isSame(known, allocation)) this.#add(allocation);
    }
    for (const [key, allocation] of before ?? []) {
      if (!now.has(key)) this.#remove(allocation);
    }
    this.#known = now;
    this.#wake();
  }

  /** The changes since a position, the last one of each owner; undefined where they are not remembered. */
  since(position: number): Omit<AllocationEvent, "kind"> | undefined {
    if (position < this.#dropped) return undefined;
    const last = new Map<string, FeedChange>();
    for (const change of this.#changes.slice(position - this.#dropped)) {
      last.set(ownerKey(change.owner), change);
    }
    const changes = [...last.values()];
    return {
      allocations: changes.flatMap(({ allocation }) => allocation ?? []),
      removed: changes.filter(({ allocation }) => !allocation)
        .map(({ owner, id }) => ({ owner, id })),
      revision: this.revisionAt(this.head),
    };
  }

  /** Resolves at a change behind a position, or after a time in ms, or when a signal ends. */
  async moved(
    position: number,
    { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  ): Promise<void> {
    if (position < this.head || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const onAbort = () => resolve();
    signal.addEventListener("abort", onAbort);
    await Promise.race([promise, this.#moved.promise]);
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }

  #add(allocation: Allocation): void {
    const { owner, id } = allocation;
    this.#push({ owner, id, allocation });
    this.#known?.set(ownerKey(owner), allocation);
  }

  #remove({ owner, id }: Allocation): void {
    this.#push({ owner, id, allocation: undefined });
    this.#known?.delete(ownerKey(owner));
  }

  #push(change: FeedChange): void {
    this.#changes.push(change);
    // Half at a time, so that it is cheap.
    if (this.#changes.length < 2 * MAX_CHANGES) return;
    this.#changes = this.#changes.slice(MAX_CHANGES);
    this.#dropped += MAX_CHANGES;
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}

function isSame(a: Allocation | undefined, b: Allocation): boolean {
  return a !== undefined &&
    JSON.stringify([a.id, a.labels, a.ttlMs, a.attachment]) ===
      JSON.stringify([b.id, b.labels, b.ttlMs, b.attachment]);
}
