import { getLogger } from "@logtape/logtape";
import type { Processes } from "./processes.ts";

/** Time for which a problem holds that another agent has found and does not repeat, in ms. */
const FOUND_BY_OTHERS_MS = 60_000;

const log = getLogger(["stellar-net", "agent", "nodes"]);

export interface NodeProblemsOptions {
  /** Find the problems of this agent's own. */
  readonly processes: Pick<Processes, "problemOf" | "takeSolved">;
  /** Ms since some moment. */
  readonly uptimeMs: () => number;
  /** Called when the problem of a node has changed. */
  readonly onChanged: (node: string) => void;
}

/**
 * The problems with the identities of nodes, for people: those that this agent
 * finds, and those that other agents find that host the registry.
 */
export class NodeProblems {
  readonly #options: NodeProblemsOptions;
  /** The known problem of each node. */
  readonly #known = new Map<string, string>();
  /** The findings of other agents, by the id of each. */
  readonly #foundByOthers = new Map<
    string,
    { readonly problems: ReadonlyMap<string, string>; readonly untilMs: number }
  >();

  constructor(options: NodeProblemsOptions) {
    this.#options = options;
  }

  /** The known problem of a node; undefined for none. */
  of(node: string): string | undefined {
    return this.#known.get(node);
  }

  /** The problems that this agent itself has found, by node. */
  get own(): ReadonlyMap<string, string> {
    const { processes } = this.#options;
    return new Map(
      [...this.#known.keys()]
        .map((node) => [node, processes.problemOf(node)] as const)
        .filter(([, problem]) => problem !== ""),
    );
  }

  /** Records the problems that another agent finds, for as long as it repeats them. */
  onFound(id: string, problems: ReadonlyMap<string, string>): void {
    const before = this.#foundByOthers.get(id)?.problems.keys() ?? [];
    const nodes = new Set([...before, ...problems.keys()]);
    const untilMs = this.#options.uptimeMs() + FOUND_BY_OTHERS_MS;
    if (problems.size === 0) this.#foundByOthers.delete(id);
    else this.#foundByOthers.set(id, { problems, untilMs });
    for (const node of nodes) this.report(node);
  }

  /** Ends the problems that are over. */
  endOld(): void {
    const { processes, uptimeMs } = this.#options;
    for (const node of processes.takeSolved()) this.report(node);
    for (const [id, { untilMs }] of this.#foundByOthers) {
      if (uptimeMs() >= untilMs) this.onFound(id, new Map());
    }
  }

  /** Logs the problem of a node, and tells of it, if it has changed. */
  report(node: string): void {
    const problem = this.#options.processes.problemOf(node) ||
      this.#byOthers(node);
    if (problem === (this.#known.get(node) ?? "")) return;
    if (problem === "") this.#known.delete(node);
    else {
      this.#known.set(node, problem);
      log.error("Node {node}: {problem}", { node, problem });
    }
    this.#options.onChanged(node);
  }

  #byOthers(node: string): string {
    return [...this.#foundByOthers.values()]
      .flatMap(({ problems }) => problems.get(node) ?? [])[0] ?? "";
  }
}
