import { getLogger } from "@logtape/logtape";
import { readEntry } from "../state/read_entry.ts";
import type { JsonValue, Key, Store } from "../store/store.ts";
import type { Clocks } from "./liveness.ts";
import type { RestoreGraceTime } from "./plan/restore_grace.ts";

/** Exists while the grace period after a restore has not passed. */
const RESTORED_KEY: Key = ["agent", "restored"];
/** Number of hosts that report the subnets they remember: one is enough if it knows all. */
const MAX_REPORTS = 32;

const log = getLogger(["stellar-net", "agent", "registry"]);

/** The backup from which a state was restored. */
export interface Restored {
  /** When the backup was made, in ms since 1970. */
  readonly takenAtMs: number;
  /** Length of the registry's grace period after its start, in ms. */
  readonly settleMs: number;
}

/** The write that begins the grace period with the next start. */
export function restoredPut(
  restored: Restored,
): { readonly key: Key; readonly value: JsonValue } {
  return { key: RESTORED_KEY, value: { ...restored } };
}

/** Whether a key is the one that {@linkcode restoredPut} writes. */
export function isRestoredKey(key: Key): boolean {
  return key.length === RESTORED_KEY.length &&
    key.every((part, i) => part === RESTORED_KEY[i]);
}

/** Reads what {@linkcode restoredPut} wrote; undefined when there is no grace period. */
async function readRestored(
  store: Store,
): Promise<Restored | undefined> {
  const entry = await store.get(RESTORED_KEY);
  if (!entry) return undefined;
  return readEntry(entry, "mark of a restored state", (record) => ({
    takenAtMs: record.count("takenAtMs"),
    settleMs: record.count("settleMs"),
  }));
}

/** Length of the grace period of a registry that turned out to be an old copy, in ms. */
const BEHIND_GRACE_MS = 60_000;

interface RestoreGraceOptions extends Clocks {
  readonly restored: Restored | undefined;
}

/**
 * The grace period of a registry that was restored from a backup: until it is
 * over, the registry gives out no subnets that the backup takes for free. It
 * starts again with every start of the agent until it has passed once.
 */
export class RestoreGrace {
  readonly #store: Store;
  readonly #clocks: Clocks;
  #startedMs: number;
  #wasBehind = false;
  /** The last one that is over. */
  #lastTakenAtMs: number | undefined;
  #restored: Restored | undefined;
  #reports = 0;

  private constructor(store: Store, options: RestoreGraceOptions) {
    this.#store = store;
    this.#clocks = options;
    this.#startedMs = options.uptimeMs();
    this.#restored = options.restored;
  }

  /** Begins it if the state in a store was restored. */
  static async begin(
    store: Store,
    clocks: Clocks,
  ): Promise<RestoreGrace> {
    const restored = await readRestored(store);
    if (restored) {
      log.warn(
        "The registry was restored from a backup of {takenAt}: for {seconds} s it gives subnets only to nodes that have them",
        {
          takenAt: new Date(restored.takenAtMs).toISOString(),
          seconds: restored.settleMs / 1000,
        },
      );
    }
    return new RestoreGrace(store, { ...clocks, restored });
  }

  /**
   * Begins it because a node knows a later revision than the registry: the
   * registry was restored from a copy of its state, such as a snapshot of its
   * machine. Once after each start: a node cannot renew it.
   */
  async beginBehind(known: number, current: number): Promise<void> {
    if (this.#wasBehind || this.current) return;
    this.#wasBehind = true;
    const { now, uptimeMs } = this.#clocks;
    const restored = { takenAtMs: now(), settleMs: BEHIND_GRACE_MS };
    this.#startedMs = uptimeMs();
    this.#restored = restored;
    log.error(
      "The registry has revision {current}, and a node knows revision {known}: the registry was restored from an old copy of its state; for {seconds} s it gives subnets only to nodes that have them",
      { current, known, seconds: BEHIND_GRACE_MS / 1000 },
    );
    await this.#store.commit({ puts: [restoredPut(restored)] });
  }

  /** Begins it if another agent that hosts the same registry has begun it. */
  async follow(): Promise<void> {
    if (this.current) return;
    const restored = await readRestored(this.#store);
    if (!restored || restored.takenAtMs === this.#lastTakenAtMs) return;
    this.#startedMs = this.#clocks.uptimeMs();
    this.#restored = restored;
    log.warn(
      "Another agent has found the registry to be an old copy: for {seconds} s it gives subnets only to nodes that have them",
      { seconds: restored.settleMs / 1000 },
    );
  }

  /** The rest of it; undefined when it is over. */
  get current(): RestoreGraceTime | undefined {
    if (!this.#restored) return undefined;
    const { takenAtMs, settleMs } = this.#restored;
    const { now, uptimeMs } = this.#clocks;
    const pastMs = uptimeMs() - this.#startedMs;
    if (pastMs >= settleMs) return undefined;
    return {
      takenAt: new Date(takenAtMs).toISOString(),
      leftMs: settleMs - pastMs,
      sinceMs: now() - pastMs,
    };
  }

  /** Whether the next node that joins should report the owners that it remembers. */
  get wantsReports(): boolean {
    return this.current !== undefined && this.#reports < MAX_REPORTS;
  }

  /** Counts a report of owners. */
  countReport(): void {
    this.#reports++;
  }

  /** Deletes the record of the restore once the grace period is over. */
  async checkEnd(): Promise<void> {
    if (!this.#restored || this.current) return;
    await this.#store.commit({ deletes: [RESTORED_KEY] });
    this.#lastTakenAtMs = this.#restored.takenAtMs;
    this.#restored = undefined;
    log.info(
      "The grace period after the restore is over: new nodes get subnets again",
    );
  }
}
