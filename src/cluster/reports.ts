import type { Report } from "./plan/report.ts";

/** A report and the time at which it was received. */
export interface ReceivedReport {
  readonly report: Report;
  /** In ms since 1970. */
  readonly receivedAtMs: number;
}

/** A listener for reports. */
export type OnReport = (
  node: string,
  before: Report | undefined,
  after: Report,
) => void;

/**
 * The last report of each host, at an agent that hosts the registry. They are
 * in memory only: after a restart, hosts send them again.
 */
export class Reports {
  readonly #now: () => number;
  readonly #received = new Map<string, ReceivedReport>();
  #onReport: OnReport = () => {};

  constructor(options: { readonly now: () => number }) {
    this.#now = options.now;
  }

  /** Sets the one listener. */
  listen(onReport: OnReport): void {
    this.#onReport = onReport;
  }

  /** Keeps the report of a node in place of the one before. */
  receive(node: string, report: Report): void {
    const before = this.#received.get(node)?.report;
    this.#received.set(node, { report, receivedAtMs: this.#now() });
    this.#onReport(node, before, report);
  }

  /** The last report of a node; undefined if there is none. */
  get(node: string): ReceivedReport | undefined {
    return this.#received.get(node);
  }

  /** Forgets the reports of nodes that are not known any more. */
  keepOnly(nodes: ReadonlySet<string>): void {
    for (const node of this.#received.keys()) {
      if (!nodes.has(node)) this.#received.delete(node);
    }
  }
}
