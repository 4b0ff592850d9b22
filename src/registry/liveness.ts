/** Interval between a node's heartbeats, in ms. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
/** Time to the next heartbeat of a process that has to show that it still runs, in ms. */
export const DOUBT_INTERVAL_MS = 250;
/** Silence after which a node counts as unreachable, in ms. */
export const UNREACHABLE_AFTER_MS = 15_000;

/** Gap between two ticks after which this agent counts as having been paused, in ms. */
export const MAX_TICK_GAP_MS = 5_000;

/** Two ways to tell the time. */
export interface Clocks {
  /** The time in ms since 1970. It jumps when the clock is set. */
  readonly now: () => number;
  /** Ms since some moment. It does not jump when the clock is set. */
  readonly uptimeMs: () => number;
}

/** Tells which nodes are alive. */
export interface Liveness {
  /**
   * Records a heartbeat. Returns whether the node counted as unreachable before.
   *
   * @param processId random id of the process that sent it
   */
  recordHeartbeat(node: string, processId?: string): boolean;
  /** Time of a node's last heartbeat, in ms since 1970; undefined: none since the start. */
  seenAtMs(node: string): number | undefined;
  /**
   * Time for which a heartbeat of a node could have arrived here, and did not,
   * in ms: since its last one, or since {@linkcode Liveness.restartSilence}.
   */
  silentForMs(node: string): number;
  /**
   * Counts the silence of all nodes from now on: no heartbeat could arrive
   * until now. Nodes that count as unreachable stay so.
   */
  restartSilence(): void;
  /**
   * Says that this agent is running and reaches its store. Call it at every
   * check: a gap between two calls restarts the silence.
   */
  tick(): void;
  /** Whether a node counts as alive. Every node does for a while after the start. */
  isAlive(node: string): boolean;
  /** The nodes among these that have become unreachable since the last call. */
  takeNewlySilent(nodes: Iterable<string>): string[];
  /** Forgets a node that was removed. */
  forget(node: string): void;
}

/** The liveness of nodes by the heartbeats that reach this agent. It is kept in memory only. */
export class OwnLiveness implements Liveness {
  readonly #clocks: Clocks;
  /** Start of the time in which heartbeats could arrive. */
  #hearingSinceMs: number;
  #tickedMs: number;
  readonly #seen = new Map<string, { uptimeMs: number; atMs: number }>();
  /** Nodes that `takeNewlySilent` has returned. */
  readonly #silent = new Set<string>();

  constructor(clocks: Clocks) {
    this.#clocks = clocks;
    this.#hearingSinceMs = clocks.uptimeMs();
    this.#tickedMs = this.#hearingSinceMs;
  }

  recordHeartbeat(node: string): boolean {
    const { now, uptimeMs } = this.#clocks;
    this.#seen.set(node, { uptimeMs: uptimeMs(), atMs: now() });
    return this.#silent.delete(node);
  }

  seenAtMs(node: string): number | undefined {
    return this.#seen.get(node)?.atMs;
  }

  silentForMs(node: string): number {
    const seenMs = this.#seen.get(node)?.uptimeMs ?? -Infinity;
    return this.#clocks.uptimeMs() - Math.max(seenMs, this.#hearingSinceMs);
  }

  tick(): void {
    const nowMs = this.#clocks.uptimeMs();
    if (nowMs - this.#tickedMs > MAX_TICK_GAP_MS) this.restartSilence();
    this.#tickedMs = nowMs;
  }

  restartSilence(): void {
    this.#hearingSinceMs = this.#clocks.uptimeMs();
  }

  isAlive(node: string): boolean {
    return !this.#silent.has(node) &&
      this.silentForMs(node) < UNREACHABLE_AFTER_MS;
  }

  takeNewlySilent(nodes: Iterable<string>): string[] {
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
