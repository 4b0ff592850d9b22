/**
 * Time after a join in which a call of the process before it may still be in
 * flight if the call has no marker, in ms.
 */
const IN_FLIGHT_MS = 1_000;
/** Silence after which a process is over if another one has joined since, in ms: two heartbeats. */
const OVER_AFTER_MS = 10_000;
/** Time for which a refused host shows as a problem of the node, in ms. */
const PROBLEM_MS = 60_000;

/** Most processes of a node that are remembered. */
const MAX_PROCESSES = 16;

interface KnownProcess {
  readonly joinedMs: number;
  seenMs: number;
  /** Whether it was heard after it had come: its first call may have been given up. */
  isCertain: boolean;
}

/** The processes that run with the state of a node. */
interface NodeProcesses {
  /** By id, in the order in which they joined. */
  readonly known: Map<string, KnownProcess>;
  /** Ids of second processes. */
  readonly refused: Set<string>;
  /** Those of them that have certainly run. */
  readonly copies: Set<string>;
  /** Repeated by what is sent after the last process came. */
  marker: number;
}

/**
 * What a call shows of the process that it comes from. `late`: the call may have
 * been given up before a later process came, and shows nothing.
 */
export type ProcessFinding = "accepted" | "late" | "refused";

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
 *
 * A host that was cut off gives up calls, and its kernel goes on to deliver them
 * for a minute and more, also after the end of the process. So each answer has
 * a marker, which changes when another process comes, and a call of an earlier
 * process counts only if it repeats the present one.
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
   * @param marker of the last answer to the process; 0: none
   * @param isReported whether another agent that hosts the registry has accepted it
   */
  record(
    node: string,
    id: string,
    marker = 0,
    isReported = false,
  ): ProcessFinding {
    if (id === "") return "accepted";
    const nowMs = this.#options.uptimeMs();
    const processes = this.#nodes.get(node) ?? {
      ...{ known: new Map(), refused: new Set<string>() },
      ...{ copies: new Set<string>(), marker: firstMarker() },
    };
    this.#nodes.set(node, processes);
    const { known, refused } = processes;
    const last = [...known.keys()].at(-1);
    for (const [other, { seenMs }] of known) {
      const isOver = nowMs - seenMs >= OVER_AFTER_MS;
      if (isOver && other !== last && other !== id) known.delete(other);
    }
    if (refused.has(id)) {
      this.#noteCopy(node, id);
      return "refused";
    }
    const isLatest = last === undefined || last === id;
    if (!isLatest && marker !== 0 && marker !== processes.marker) return "late";
    const own = known.get(id);
    if (!own) {
      const times = { joinedMs: nowMs, seenMs: nowMs };
      known.set(id, { ...times, isCertain: isReported });
      forgetFirst(known);
      processes.marker = nextMarker(processes.marker);
      return "accepted";
    }
    own.seenMs = nowMs;
    own.isCertain = true;
    let isLater = false;
    for (const [other, { joinedMs, isCertain }] of known) {
      const isOver = marker !== 0 || nowMs - joinedMs > IN_FLIGHT_MS;
      if (isLater && isOver) {
        known.delete(other);
        refused.add(other);
        forgetFirst(refused);
        if (isCertain) this.#noteCopy(node, other);
      }
      isLater ||= other === id;
    }
    return "accepted";
  }

  #noteCopy(node: string, id: string): void {
    const { copies } = this.#nodes.get(node)!;
    copies.add(id);
    forgetFirst(copies);
    this.#options.onProblem(node);
  }

  /** The marker for answers to the processes of a node; 0 for a node without one. */
  markerOf(node: string): number {
    return this.#nodes.get(node)?.marker ?? 0;
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
    if ((this.#nodes.get(node)?.copies.size ?? 0) > 0) {
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

/** Random, so that a marker of the registry before a restart is none of this one. */
function firstMarker(): number {
  return nextMarker(crypto.getRandomValues(new Uint32Array(1))[0]!);
}

/** The next of 32 bits that is not 0. */
function nextMarker(marker: number): number {
  return (marker + 1) >>> 0 || 1;
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
