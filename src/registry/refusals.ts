import { formatUtcMs } from "../base/duration.ts";
import type { ClusterNode } from "./feed.ts";

/** Time for which a node is listed after its last refusal, or its last record of another agent, in ms. */
const LISTED_MS = 60_000;
/** Most refused nodes: without TLS, any name may come. */
const MAX_REFUSED = 64;

/** A refused join. */
export interface RefusedJoin {
  /** Whether the node holds subnets, so that it is fenced. */
  readonly hasSubnets: boolean;
  /** Why, with the way out. */
  readonly why: string;
  /** The time in ms since 1970. */
  readonly nowMs: number;
}

interface Refusal {
  readonly sinceMs: number;
  readonly seenMs: number;
  readonly text: string;
}

/**
 * The nodes whose joins the registry refuses, and why. It keeps them in memory:
 * each tries again every few seconds.
 */
export class Refusals {
  readonly #uptimeMs: () => number;
  readonly #own = new Map<string, Refusal>();
  readonly #byOthers = new Map<
    string,
    { readonly texts: ReadonlyMap<string, string>; readonly untilMs: number }
  >();

  /** @param uptimeMs ms since some moment */
  constructor(uptimeMs: () => number) {
    this.#uptimeMs = uptimeMs;
  }

  record(node: string, { hasSubnets, why, nowMs }: RefusedJoin): void {
    this.#forgetOld();
    const known = this.#own.get(node);
    if (!known && this.#own.size >= MAX_REFUSED) return;
    const sinceMs = known?.sinceMs ?? nowMs;
    this.#own.set(node, {
      ...{ sinceMs, seenMs: this.#uptimeMs() },
      text: `the registry has ${hasSubnets ? "fenced" : "refused"} it since ${
        formatUtcMs(sinceMs)
      }: ${why}`,
    });
  }

  /** Forgets a node that has joined, or was removed. */
  forget(node: string): void {
    this.#own.delete(node);
  }

  /** The refusals of this agent, for people, by node. */
  get own(): ReadonlyMap<string, string> {
    this.#forgetOld();
    return new Map([...this.#own].map(([node, { text }]) => [node, text]));
  }

  /** Records the refusals of another agent that hosts the registry. */
  receive(id: string, texts: ReadonlyMap<string, string>): void {
    const untilMs = this.#uptimeMs() + LISTED_MS;
    if (texts.size === 0) this.#byOthers.delete(id);
    else this.#byOthers.set(id, { texts, untilMs });
  }

  /** Adds the refused nodes to the known ones, by name. */
  addTo(nodes: readonly ClusterNode[]): ClusterNode[] {
    this.#forgetOld();
    const refused = new Map([
      ...[...this.#byOthers.values()].flatMap(({ texts }) => [...texts]),
      ...this.own,
    ]);
    const known = nodes.map((node): ClusterNode => {
      const problem = node.state === "ready"
        ? node.problem
        : node.problem ?? refused.get(node.name);
      refused.delete(node.name);
      return problem === undefined ? node : { ...node, problem };
    });
    const unknown = [...refused].map(([name, problem]): ClusterNode => ({
      ...{ name, problem, subnets: [], advertised: [], apiUrl: "" },
      ...{ state: "unreachable", joinedAtMs: 0, seenAtMs: undefined },
    }));
    return [...known, ...unknown].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  #forgetOld(): void {
    const nowMs = this.#uptimeMs();
    for (const [node, { seenMs }] of this.#own) {
      if (nowMs - seenMs >= LISTED_MS) this.#own.delete(node);
    }
    for (const [id, { untilMs }] of this.#byOthers) {
      if (nowMs >= untilMs) this.#byOthers.delete(id);
    }
  }
}
