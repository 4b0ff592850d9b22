import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type { Change, JsonValue, Key, Store } from "../store/store.ts";
import { type Clocks, type Liveness, OwnLiveness } from "./liveness.ts";
import { sleep } from "../base/periodic_task.ts";

/** Prefix of who is alive, as several agents that host one registry tell each other. */
const PREFIX: Key = ["alive"];
/** How often an agent that hosts the registry says that it is there, in ms. */
const BEAT_INTERVAL_MS = 5_000;
/** Time to the next attempt where the store does not answer, in ms. */
const RETRY_MS = 1_000;

const log = getLogger(["stellar-net", "agent", "liveness"]);

/** What an agent tells the others of a node that it hears of. */
interface Told {
  /** Id of the agent. */
  readonly by: string;
  readonly isAlive: boolean;
}

/** Options of a shared liveness. */
export interface SharedLivenessOptions extends Clocks {
  /** Id of this agent. */
  readonly id: string;
  /** The registry's store. */
  readonly store: Store;
  /** Called when another agent tells that a node is alive again, or is not. */
  readonly onChange: (node: string) => void;
}

/**
 * Who is alive, where several agents host one registry: each hears of the nodes
 * that have joined through it, and tells the others when one comes or falls
 * silent, not at every heartbeat. An agent that falls silent itself takes the
 * nodes that it has heard of with it, until they join through another.
 *
 * Clocks are never compared: how long somebody has been silent is measured from
 * when it was told here. While the store does not answer, nobody grows silent
 * but those that this agent hears of itself.
 */
export class SharedLiveness implements Liveness {
  readonly #options: SharedLivenessOptions;
  readonly #own: OwnLiveness;
  /** The agents that host the registry, as one is alive that tells of itself. */
  readonly #hosts: OwnLiveness;
  readonly #told = new Map<string, Told>();
  readonly #toldMs = new Map<string, number>();
  readonly #silent = new Set<string>();
  /** Nodes of which the others are to be told. */
  readonly #untold = new Set<string>();
  readonly #stop = new AbortController();
  #isFollowing = false;
  #telling = Promise.resolve();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: SharedLivenessOptions) {
    this.#options = options;
    this.#own = new OwnLiveness(options);
    this.#hosts = new OwnLiveness(options);
  }

  /** Begins to tell the others, and to hear from them. */
  start(): void {
    this.#running = Promise.all([this.#follow(), this.#beat()]);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#telling;
  }

  hear(node: string): boolean {
    this.#own.hear(node);
    const told = this.#told.get(node);
    if (told?.by !== this.#options.id || !told.isAlive) this.#tell(node);
    return this.#silent.delete(node);
  }

  seenAtMs(node: string): number | undefined {
    return this.#isOwn(node) ? this.#own.seenAtMs(node) : undefined;
  }

  silentForMs(node: string): number {
    if (this.isAlive(node)) return 0;
    const sinceMs = this.#toldMs.get(node);
    return sinceMs === undefined || this.#isOwn(node)
      ? this.#own.silentForMs(node)
      : this.#options.uptimeMs() - sinceMs;
  }

  isAlive(node: string): boolean {
    if (this.#own.seenAtMs(node) !== undefined && this.#own.isAlive(node)) {
      return true;
    }
    const told = this.#told.get(node);
    if (!told || told.by === this.#options.id) return this.#own.isAlive(node);
    return told.isAlive && (!this.#isFollowing || this.#hosts.isAlive(told.by));
  }

  takeSilent(nodes: Iterable<string>): string[] {
    const silent = [...nodes].filter((node) =>
      !this.isAlive(node) && !this.#silent.has(node)
    );
    for (const node of silent) {
      this.#silent.add(node);
      if (this.#isOwn(node)) this.#tell(node);
    }
    return silent;
  }

  forget(node: string): void {
    this.#own.forget(node);
    this.#silent.delete(node);
    if (!this.#told.delete(node)) return;
    this.#untold.delete(node);
    void this.#write({ deletes: [[...PREFIX, "node", node]] });
  }

  /** Whether this agent is the one that hears of a node. */
  #isOwn(node: string): boolean {
    const told = this.#told.get(node);
    return !told || told.by === this.#options.id;
  }

  /** Tells the others of a node, as soon as the store takes it. */
  #tell(node: string): void {
    if (this.#untold.has(node)) return;
    this.#untold.add(node);
    this.#telling = this.#telling.then(() => this.#tellAll());
  }

  async #tellAll(): Promise<void> {
    const { id } = this.#options;
    const nodes = [...this.#untold].slice(0, 64);
    if (nodes.length === 0) return;
    const puts = nodes.map((node) => ({
      key: [...PREFIX, "node", node],
      value: { by: id, isAlive: this.#own.isAlive(node) },
    }));
    // Before the commit: who is heard of meanwhile is told again.
    for (const node of nodes) this.#untold.delete(node);
    const isDone = await this.#write({ puts });
    for (const { key, value } of isDone ? puts : []) {
      this.#take({ key, value });
    }
    if (isDone && this.#untold.size > 0) await this.#tellAll();
  }

  /** Says every few seconds that this agent is there. Tells what was not told. */
  async #beat(): Promise<void> {
    const { id, now } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const key = [...PREFIX, "host", id];
      await this.#write({ puts: [{ key, value: { atMs: now() } }] });
      await sleep(BEAT_INTERVAL_MS, signal);
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const events = this.#options.store.watch(PREFIX, { signal });
        for await (const event of events) {
          this.#isFollowing = true;
          const isSnapshot = event.kind === "snapshot";
          if (isSnapshot) this.#told.clear();
          for (const entry of isSnapshot ? event.entries : event.changes) {
            this.#take(entry);
          }
        }
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        log.debug("Cannot follow who is alive, trying again: {error}", {
          error,
        });
      }
      this.#isFollowing = false;
      await sleep(RETRY_MS, signal);
    }
  }

  #take({ key, value }: Pick<Change, "key" | "value">): void {
    const [, kind, name] = key.map(String);
    if (name === undefined) return;
    if (kind === "host") {
      this.#hearHost(name);
      return;
    }
    const before = this.isAlive(name);
    const told = readTold(value);
    if (told) this.#hearHost(told.by);
    if (told) this.#told.set(name, told);
    else this.#told.delete(name);
    this.#toldMs.set(name, this.#options.uptimeMs());
    const isAlive = this.isAlive(name);
    if (isAlive) this.#silent.delete(name);
    if (before !== isAlive) this.#options.onChange(name);
  }

  /** Takes in that another agent is there: with it come the nodes that it hears of. */
  #hearHost(id: string): void {
    const wasAlive = this.#hosts.isAlive(id);
    this.#hosts.hear(id);
    if (wasAlive) return;
    for (const [node, { by, isAlive }] of this.#told) {
      if (by === id && isAlive) this.#options.onChange(node);
    }
  }

  async #write(
    commit: Parameters<Store["commit"]>[0],
  ): Promise<boolean> {
    try {
      await this.#options.store.commit(commit);
      return true;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.debug("Cannot tell who is alive: {error}", { error });
      return false;
    }
  }
}

function readTold(value: JsonValue | null): Told | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { by, isAlive } = value as { by?: unknown; isAlive?: unknown };
  return typeof by === "string" && typeof isAlive === "boolean"
    ? { by, isAlive }
    : undefined;
}
