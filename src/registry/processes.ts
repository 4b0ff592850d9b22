/** Time after a join in which a heartbeat of the process before it may still be in flight, in ms. */
const IN_FLIGHT_MS = 1_000;
/** Silence after which a process is over if another one has joined since, in ms: two heartbeats. */
const OVER_AFTER_MS = 10_000;
/** Time for which a refused host shows as a problem of the node, in ms. */
const PROBLEM_MS = 60_000;

/** Most processes of a node that are remembered. */
const MAX_PROCESSES = 16;

/** The processes that run with the state of a node. */
interface NodeProcesses {
  /** By id, in the order in which they joined. */
  readonly known: Map<string, { readonly joinedMs: number; seenMs: number }>;
  /** Ids of second processes. */
  readonly refused: Set<string>;
}

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
    const { known, refused } = this.#nodes.get(node) ??
      { known: new Map(), refused: new Set() };
    this.#nodes.set(node, { known, refused });
    const last = [...known.keys()].at(-1);
    for (const [other, { seenMs }] of known) {
      const isOver = nowMs - seenMs >= OVER_AFTER_MS;
      if (isOver && other !== last && other !== id) known.delete(other);
    }
    if (refused.has(id)) return false;
    const own = known.get(id);
    if (!own) {
      known.set(id, { joinedMs: nowMs, seenMs: nowMs });
      forgetFirst(known);
      return true;
    }
    own.seenMs = nowMs;
    let isLater = false;
    for (const [other, { joinedMs }] of known) {
      if (isLater && nowMs - joinedMs > IN_FLIGHT_MS) {
        known.delete(other);
        refused.add(other);
        forgetFirst(refused);
        this.#options.onProblem(node);
      }
      isLater ||= other === id;
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

/** Keeps a node that sends new ids all the time from filling the memory. */
function forgetFirst(
  ids: Pick<Set<string>, "size" | "delete"> & {
    keys(): Iterator<string>;
  },
): void {
  const { value: first } = ids.keys().next();
  if (ids.size > MAX_PROCESSES && first !== undefined) ids.delete(first);
}
