import { createHash } from "node:crypto";
import type { Report } from "./plan/report.ts";

/** Time between two reports of a host that count, in ms. */
const MIN_REPORT_INTERVAL_MS = 1_000;

/** Age up to which a report counts as the present one, in ms: three heartbeats. */
const FRESH_MS = 15_000;

/** A report and its age. */
export interface ReceivedReport {
  readonly report: Report;
  /** When it was received, or confirmed by a later heartbeat, in ms since 1970. */
  readonly asOfMs: number;
}

/** 4 bytes of a digest of an encoded report; 0 for none. */
export function digestReport(bytes: Uint8Array): number {
  return bytes.length === 0
    ? 0
    : createHash("sha256").update(bytes).digest().readUInt32BE();
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
  readonly #received = new Map<
    string,
    ReceivedReport & { readonly receivedAtMs: number; readonly digest: number }
  >();
  readonly #listeners = new Set<OnReport>();

  constructor(options: { readonly now: () => number }) {
    this.#now = options.now;
  }

  /** Calls a listener for each report. @returns a function that ends that */
  listen(onReport: OnReport): () => void {
    this.#listeners.add(onReport);
    return () => void this.#listeners.delete(onReport);
  }

  /**
   * Keeps the report of a node in place of the one before.
   *
   * @param digest by which the node's heartbeats name it; 0: by none
   * @returns false if the one before came less than a second ago: a host that
   * floods the registry with reports costs little, and sends the last one again
   */
  receive(node: string, report: Report, digest = 0): boolean {
    const before = this.#received.get(node);
    const receivedAtMs = this.#now();
    const sinceMs = receivedAtMs - (before?.receivedAtMs ?? -Infinity);
    // A clock that was set back does not count.
    if (sinceMs >= 0 && sinceMs < MIN_REPORT_INTERVAL_MS) return false;
    const times = { receivedAtMs, asOfMs: receivedAtMs };
    this.#received.set(node, { report, digest, ...times });
    for (const listener of this.#listeners) {
      listener(node, before?.report, report);
    }
    return true;
  }

  /**
   * A node's heartbeat without a report says that the last one still holds.
   *
   * @param digest of the present report; 0: the node does not say
   * @returns false if that is not the one that is here
   */
  confirm(node: string, digest = 0): boolean {
    const received = this.#received.get(node);
    if (!received || digest !== 0 && digest !== received.digest) return false;
    this.#received.set(node, { ...received, asOfMs: this.#now() });
    return true;
  }

  /** The last report of a node; undefined if there is none. */
  get(node: string): ReceivedReport | undefined {
    return this.#received.get(node);
  }

  /** The last report of a node if it counts as the present one: heartbeats confirm it. */
  fresh(node: string): ReceivedReport | undefined {
    const received = this.#received.get(node);
    return received && this.#now() - received.asOfMs < FRESH_MS
      ? received
      : undefined;
  }

  /** Forgets the reports of nodes that are not known any more. */
  keepOnly(nodes: ReadonlySet<string>): void {
    for (const node of this.#received.keys()) {
      if (!nodes.has(node)) this.#received.delete(node);
    }
  }
}
