import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { BackOff, followWatch } from "../base/retry.ts";
import type { Change, JsonValue, Key, Store } from "../store/store.ts";
import {
  type Clocks,
  type Liveness,
  MAX_TICK_GAP_MS,
  OwnLiveness,
} from "./liveness.ts";

/** Prefix of the records by which agents that host one registry share liveness. */
const PREFIX: Key = ["alive"];
/** Interval between an agent's own records, in ms. */
const BEAT_INTERVAL_MS = 5_000;
/** Wait before the store is watched again, in ms. */
const REWATCH_MS = 1_000;
/** Most findings of each kind in one record. */
const MAX_FINDINGS = 64;
/** Most nodes in one commit. */
const MAX_BATCH = 64;

const log = getLogger(["stellar-net", "agent", "liveness"]);

/** The record of a node, as the agent wrote it that receives the node's heartbeats. */
interface NodeReport {
  /** Id of that agent. */
  readonly by: string;
  readonly isAlive: boolean;
  /** Random id of the process that sent the last heartbeat; empty: an older program. */
  readonly process: string;
}

/** The faults of nodes that an agent which hosts the registry finds, for people, by node. */
export interface Findings {
  /** Problems with the identity of known nodes. */
  readonly problems: ReadonlyMap<string, string>;
  /** Nodes that it refuses. */
  readonly refused: ReadonlyMap<string, string>;
}

export interface SharedLivenessOptions extends Clocks {
  /** Id of this agent. */
  readonly id: string;
  /** The registry's store. */
  readonly store: Store;
  /** Called when another agent's records change whether a node is alive. */
  readonly onChange: (node: string) => void;
  /** Called with the process of a node whose heartbeat another agent received. */
  readonly onProcess?: (node: string, processId: string) => void;
  /** The findings of this agent. Default: none. */
  readonly findings?: () => Findings;
  /** Called with the findings of another agent, again with each of its records. */
  readonly onFindings?: (id: string, findings: Findings) => void;
}

/**
 * Liveness where several agents host one registry. Each receives the
 * heartbeats of the nodes that have joined through it, and writes a record
 * when one comes or falls silent, not at every heartbeat. When an agent itself
 * falls silent, so do the nodes that it reported, until they join through
 * another.
 *
 * Clocks are never compared: silence is measured from the moment at which a
 * record arrived here. While the store does not answer, only nodes whose
 * heartbeats this agent receives itself can fall silent.
 */
export class SharedLiveness implements Liveness {
  readonly #options: SharedLivenessOptions;
  readonly #own: OwnLiveness;
  /** The agents that host the registry, alive by their own records. */
  readonly #hosts: OwnLiveness;
  readonly #reports = new Map<string, NodeReport>();
  /** When each node's report arrived, by uptime. */
  readonly #reportedMs = new Map<string, number>();
  readonly #silent = new Set<string>();
  /** The process of each node whose heartbeats this agent receives. */
  readonly #processes = new Map<string, string>();
  /** The last own record of each agent, as JSON. */
  readonly #beats = new Map<string, string>();
  /** Whether the store has not answered: other agents may not have been able to reach us. */
  #isStoreLost = false;
  /** Start of the time in which the records of other agents could arrive, by uptime. */
  #hearingSinceMs: number;
  #tickedMs: number;
  /** Nodes whose record needs a write. */
  readonly #unwritten = new Set<string>();
  readonly #stop = new AbortController();
  #isFollowing = false;
  #writing = Promise.resolve();
  #following: Promise<void> = Promise.resolve();
  #beat: PeriodicTask | undefined;

  constructor(options: SharedLivenessOptions) {
    this.#options = options;
    this.#own = new OwnLiveness(options);
    this.#hosts = new OwnLiveness(options);
    this.#hearingSinceMs = options.uptimeMs();
    this.#tickedMs = this.#hearingSinceMs;
  }

  /** Begins to write records and to follow those of others. */
  start(): void {
    this.#following = this.#follow();
    this.#beat = startPeriodicTask("report that this agent is alive", {
      intervalMs: BEAT_INTERVAL_MS,
      run: () => this.#writeHost(),
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#beat?.stop();
    await this.#following;
    await this.#writing;
  }

  recordHeartbeat(node: string, processId = ""): boolean {
    const report = this.#reports.get(node);
    // Another agent may have found it silent before this one was started.
    const wasSilent = report !== undefined && !this.isAlive(node);
    this.#own.recordHeartbeat(node);
    this.#processes.set(node, processId);
    const isKnown = report?.by === this.#options.id && report.isAlive &&
      report.process === processId;
    if (!isKnown) this.#report(node);
    return this.#silent.delete(node) || wasSilent;
  }

  seenAtMs(node: string): number | undefined {
    return this.#isOwn(node) ? this.#own.seenAtMs(node) : undefined;
  }

  silentForMs(node: string): number {
    if (this.isAlive(node)) return 0;
    const report = this.#reports.get(node);
    if (!report || report.by === this.#options.id) {
      return this.#own.silentForMs(node);
    }
    // While an agent lives, so does each node that it reported alive: such a
    // node has been silent since that agent's last record.
    if (report.isAlive) return this.#hosts.silentForMs(report.by);
    const reportedMs = this.#reportedMs.get(node) ?? -Infinity;
    return this.#options.uptimeMs() -
      Math.max(reportedMs, this.#hearingSinceMs);
  }

  tick(): void {
    const nowMs = this.#options.uptimeMs();
    if (nowMs - this.#tickedMs > MAX_TICK_GAP_MS) this.restartSilence();
    this.#tickedMs = nowMs;
  }

  restartSilence(): void {
    this.#hearingSinceMs = this.#options.uptimeMs();
    this.#own.restartSilence();
    this.#hosts.restartSilence();
  }

  /**
   * Whether this agent removes silent nodes: of those that host the registry and
   * are alive, the one with the lowest id.
   */
  get isRemover(): boolean {
    const { id } = this.#options;
    return ![...this.#beats.keys()].some((other) =>
      other < id && this.#hosts.isAlive(other)
    );
  }

  isAlive(node: string): boolean {
    if (this.#own.seenAtMs(node) !== undefined && this.#own.isAlive(node)) {
      return true;
    }
    const report = this.#reports.get(node);
    if (!report || report.by === this.#options.id) {
      return this.#own.isAlive(node);
    }
    return report.isAlive &&
      (!this.#isFollowing || this.#hosts.isAlive(report.by));
  }

  takeNewlySilent(nodes: Iterable<string>): string[] {
    const reporters = [...this.#reports.values()].map(({ by }) => by);
    this.#hosts.takeNewlySilent(new Set([...this.#beats.keys(), ...reporters]));
    const silent = [...nodes].filter((node) =>
      !this.isAlive(node) && !this.#silent.has(node)
    );
    for (const node of silent) {
      this.#silent.add(node);
      if (this.#isOwn(node)) this.#report(node);
    }
    return silent;
  }

  forget(node: string): void {
    this.#own.forget(node);
    this.#silent.delete(node);
    this.#processes.delete(node);
    if (!this.#reports.delete(node)) return;
    this.#unwritten.delete(node);
    void this.#write({ deletes: [[...PREFIX, "node", node]] });
  }

  /** Whether this agent receives a node's heartbeats. */
  #isOwn(node: string): boolean {
    const report = this.#reports.get(node);
    return !report || report.by === this.#options.id;
  }

  /** Writes a node's record as soon as the store takes it. */
  #report(node: string): void {
    if (this.#unwritten.has(node)) return;
    this.#unwritten.add(node);
    this.#writing = this.#writing.then(() => this.#writeReports());
  }

  async #writeReports(): Promise<void> {
    const { id } = this.#options;
    const nodes = [...this.#unwritten].slice(0, MAX_BATCH);
    if (nodes.length === 0) return;
    const puts = nodes.map((node) => {
      const process = this.#processes.get(node);
      return {
        key: [...PREFIX, "node", node],
        value: {
          by: id,
          isAlive: this.#own.isAlive(node),
          ...process && { process },
        },
      };
    });
    // Before the commit: a heartbeat that comes meanwhile is written again.
    for (const node of nodes) this.#unwritten.delete(node);
    const isDone = await this.#write({ puts });
    for (const { key, value } of isDone ? puts : []) {
      this.#apply({ key, value });
    }
    if (isDone && this.#unwritten.size > 0) await this.#writeReports();
  }

  #writeHost(): Promise<boolean> {
    const { id, now, findings } = this.#options;
    const key = [...PREFIX, "host", id];
    const value = {
      atMs: now(),
      ...Object.fromEntries(
        Object.entries(findings?.() ?? {})
          .filter(([, texts]) => texts.size > 0)
          .map(([kind, texts]) => [
            kind,
            Object.fromEntries([...texts].slice(0, MAX_FINDINGS)),
          ]),
      ),
    };
    return this.#write({ puts: [{ key, value }] });
  }

  #follow(): Promise<void> {
    const { signal } = this.#stop;
    return followWatch({
      signal,
      backOff: new BackOff({ firstMs: REWATCH_MS }),
      open: () => this.#options.store.watch(PREFIX, { signal }),
      onEvent: (event) => {
        if (!this.#isFollowing) this.restartSilence();
        this.#isFollowing = true;
        const isSnapshot = event.kind === "snapshot";
        if (isSnapshot) this.#forgetMissing(event.entries);
        for (const entry of isSnapshot ? event.entries : event.changes) {
          this.#apply(entry);
        }
      },
      onEnd: () => this.#isFollowing = false,
      onFailure: (error) =>
        log.debug(
          "Cannot follow which nodes are alive, trying again: {error}",
          {
            error,
          },
        ),
    });
  }

  /** Forgets the records that a snapshot no longer has. */
  #forgetMissing(entries: readonly Pick<Change, "key">[]): void {
    const keys = new Set(entries.map(({ key }) => key.slice(1).join(" ")));
    for (const id of this.#beats.keys()) {
      if (!keys.has(`host ${id}`)) this.#beats.delete(id);
    }
    for (const node of this.#reports.keys()) {
      if (!keys.has(`node ${node}`)) this.#reports.delete(node);
    }
  }

  #apply({ key, value }: Pick<Change, "key" | "value">): void {
    const [, kind, name] = key.map(String);
    if (name === undefined) return;
    if (kind === "host") {
      // A snapshot repeats the records of agents that are long gone.
      const beat = JSON.stringify(value);
      if (beat !== this.#beats.get(name)) {
        this.#recordHost(name);
        if (name !== this.#options.id) {
          this.#options.onFindings?.(name, readFindings(value));
        }
      }
      this.#beats.set(name, beat);
      return;
    }
    const before = this.isAlive(name);
    const report = readReport(value);
    const known = this.#reports.get(name);
    const isNews = report?.by !== known?.by ||
      report?.isAlive !== known?.isAlive ||
      report?.process !== known?.process;
    if (report && isNews) this.#recordHost(report.by);
    if (report?.isAlive && isNews && report.by !== this.#options.id) {
      this.#options.onProcess?.(name, report.process);
    }
    if (report) this.#reports.set(name, report);
    else this.#reports.delete(name);
    if (isNews) this.#reportedMs.set(name, this.#options.uptimeMs());
    const isAlive = this.isAlive(name);
    if (isAlive) this.#silent.delete(name);
    if (before !== isAlive) this.#options.onChange(name);
  }

  /** Records that another agent is alive, and with it the nodes that it reported alive. */
  #recordHost(id: string): void {
    const wasAlive = this.#hosts.isAlive(id);
    this.#hosts.recordHeartbeat(id);
    if (wasAlive) return;
    for (const [node, { by, isAlive }] of this.#reports) {
      if (by === id && isAlive) this.#options.onChange(node);
    }
  }

  async #write(
    commit: Parameters<Store["commit"]>[0],
  ): Promise<boolean> {
    try {
      await this.#options.store.commit(commit);
      if (this.#isStoreLost) this.restartSilence();
      this.#isStoreLost = false;
      return true;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.#isStoreLost = true;
      log.debug("Cannot write which nodes are alive: {error}", { error });
      return false;
    }
  }
}

function readFindings(value: JsonValue | null): Findings {
  const record = { ...value as Readonly<Record<string, unknown>> | null };
  return {
    problems: readTexts(record.problems),
    refused: readTexts(record.refused),
  };
}

function readTexts(texts: unknown): Map<string, string> {
  return new Map(
    Object.entries({ ...texts as Readonly<Record<string, unknown>> | null })
      .filter((entry): entry is [string, string] =>
        typeof entry[1] === "string"
      ),
  );
}

function readReport(value: JsonValue | null): NodeReport | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { by, isAlive, process = "" } = value as {
    readonly [name: string]: unknown;
  };
  return typeof by === "string" && typeof isAlive === "boolean" &&
      typeof process === "string"
    ? { by, isAlive, process }
    : undefined;
}
