/** Time after a join in which a heartbeat of the process before it may still be in flight, in ms. */
const IN_FLIGHT_MS = 1_000;
/** Silence of a process after which the one that joined later replaces it, in ms: two heartbeats. */
const REPLACED_AFTER_MS = 10_000;
/** Time for which a refused host shows as a problem of the node, in ms. */
const PROBLEM_MS = 60_000;

/** A process that runs with the state of a node. */
interface Process {
  readonly id: string;
  readonly joinedMs: number;
  seenMs: number;
}

interface NodeProcesses {
  owner: Process;
  /** A process that joined later: the same agent after a restart, or a second one. */
  rival: Process | undefined;
  /** Ids of second processes. */
  readonly refused: Set<string>;
}

/** Options of {@linkcode Processes}. */
export interface ProcessesOptions {
  /** Ms since some moment. */
  readonly uptimeMs: () => number;
  /** Called when the problem of a node has changed. */
  readonly onProblem: (node: string) => void;
}

/**
 * Finds nodes whose state runs in two processes, as after a machine was cloned.
 *
 * A process that joins while another one is known is the same agent after a
 * restart, unless the earlier one sends heartbeats after that. Then the later
 * one is refused for good. It takes the ids of processes as they arrive here,
 * or as another agent that hosts the registry reports them.
 */
export class Processes {
  readonly #options: ProcessesOptions;
  readonly #nodes = new Map<string, NodeProcesses>();
  /** When a host with the name of a node, and another state, was refused last. */
  readonly #strangers = new Map<string, number>();

  constructor(options: ProcessesOptions) {
    this.#options = options;
  }

  /**
   * Records a heartbeat or a join.
   *
   * @param id random id of the process; empty: an older program, which is not checked
   * @returns false when the process is the second one
   */
  record(node: string, id: string): boolean {
    if (id === "") return true;
    const nowMs = this.#options.uptimeMs();
    const known = this.#nodes.get(node);
    if (!known) {
      const owner = { id, joinedMs: nowMs, seenMs: nowMs };
      this.#nodes.set(node, { owner, rival: undefined, refused: new Set() });
      return true;
    }
    if (known.refused.has(id)) {
      this.#options.onProblem(node);
      return false;
    }
    if (id === known.owner.id) {
      known.owner.seenMs = nowMs;
      const { rival } = known;
      if (rival && nowMs - rival.joinedMs > IN_FLIGHT_MS) {
        known.refused.add(rival.id);
        known.rival = undefined;
        this.#options.onProblem(node);
      }
      return true;
    }
    if (known.rival?.id !== id) {
      known.rival = { id, joinedMs: nowMs, seenMs: nowMs };
      return true;
    }
    known.rival.seenMs = nowMs;
    if (nowMs - known.owner.seenMs >= REPLACED_AFTER_MS) {
      known.owner = known.rival;
      known.rival = undefined;
    }
    return true;
  }

  /** Records that a host with the name of a node, but another state, was refused. */
  recordStranger(node: string): void {
    this.#strangers.set(node, this.#options.uptimeMs());
    this.#options.onProblem(node);
  }

  /** Forgets a node that was removed. */
  forget(node: string): void {
    this.#nodes.delete(node);
    this.#strangers.delete(node);
  }

  /** The problem with a node's identity, for people; empty: none. */
  problemOf(node: string): string {
    if ((this.#nodes.get(node)?.refused.size ?? 0) > 0) {
      return "two processes run with its state, which was copied: the second one is fenced";
    }
    const strangerMs = this.#strangers.get(node) ?? -Infinity;
    return this.#options.uptimeMs() - strangerMs < PROBLEM_MS
      ? "another host tries to join with its name, and is refused"
      : "";
  }

  /** The nodes whose refused host has given up since the last call. */
  takeSolved(): string[] {
    const nowMs = this.#options.uptimeMs();
    const solved = [...this.#strangers]
      .filter(([, atMs]) => nowMs - atMs >= PROBLEM_MS)
      .map(([node]) => node);
    for (const node of solved) this.#strangers.delete(node);
    return solved;
  }
}
