/** How often a node says that it is alive, in ms. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
/** How long after its last heartbeat a node counts as unreachable, in ms. */
export const UNREACHABLE_AFTER_MS = 15_000;

/** Two ways to tell the time. */
export interface Clocks {
  /** The time in ms since 1970. Somebody may set it. */
  readonly now: () => number;
  /** Ms since some moment; goes on evenly when somebody sets the clock. */
  readonly uptimeMs: () => number;
}

/** Who is alive. */
export interface Liveness {
  /** Takes in that a node is alive. Returns whether it counted as unreachable. */
  hear(node: string): boolean;
  /** When a node was heard of last, in ms since 1970; undefined when it was not since the start. */
  seenAtMs(node: string): number | undefined;
  /** For how long a node has been silent; since the start when it was never heard of. */
  silentForMs(node: string): number;
  /** Whether a node counts as alive. After a start every node does for a while. */
  isAlive(node: string): boolean;
  /** Those of some nodes that have become unreachable since the last call. */
  takeSilent(nodes: Iterable<string>): string[];
  /** Forgets a node that was removed. */
  forget(node: string): void;
}

/** Who is alive, as this agent hears. Kept in memory alone: a heartbeat writes nothing. */
export class OwnLiveness implements Liveness {
  readonly #clocks: Clocks;
  readonly #startedMs: number;
  readonly #seen = new Map<string, { uptimeMs: number; atMs: number }>();
  /** Nodes whose silence was told already. */
  readonly #silent = new Set<string>();

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#startedMs = clocks.uptimeMs();
  }

  hear(node: string): boolean {
    const { now, uptimeMs } = this.#clocks;
    this.#seen.set(node, { uptimeMs: uptimeMs(), atMs: now() });
    return this.#silent.delete(node);
  }

  seenAtMs(node: string): number | undefined {
    return this.#seen.get(node)?.atMs;
  }

  silentForMs(node: string): number {
    const sinceMs = this.#seen.get(node)?.uptimeMs ?? this.#startedMs;
    return this.#clocks.uptimeMs() - sinceMs;
  }

  isAlive(node: string): boolean {
    return this.silentForMs(node) < UNREACHABLE_AFTER_MS;
  }

  takeSilent(nodes: Iterable<string>): string[] {
    const silent = [...nodes].filter((node) =>
      !this.isAlive(node) && !this.#silent.has(node)
    );
    for (const node of silent) this.#silent.add(node);
    return silent;
  }

  forget(node: string): void {
    this.#seen.delete(node);
    this.#silent.delete(node);
  }
}
