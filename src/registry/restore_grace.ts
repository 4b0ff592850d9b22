import { getLogger } from "@logtape/logtape";
import { capacityOf, usableRange } from "../net/subnet.ts";
import { poolValue, readPool } from "../state/address_records.ts";
import { readEntry } from "../state/read_entry.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import type { Clocks } from "./liveness.ts";
import type { Settling } from "./plan/restore_grace.ts";

/** How far the search for free addresses is moved at most. */
const MAX_JUMP = 65_536n;

/** Whether a key is that of what a node allocates from. */
export function isPoolKey(key: Key): boolean {
  return key.length === 3 && key[0] === "ip" && key[2] === "pool";
}

/**
 * The record of a pool with its search for free addresses half of the subnet
 * further on: the addresses that were given next after the backup was made may
 * be held by containers that it does not know.
 *
 * @throws {NetError} `failed_precondition` when the record is damaged
 */
export function movePool(pool: Entry): JsonValue {
  return poolValue(
    readPool(pool).map(({ subnet, cursor }) => {
      const { first } = usableRange(subnet);
      const capacity = capacityOf(subnet);
      const half = capacity / 2n;
      const jump = half < MAX_JUMP ? half : MAX_JUMP;
      const from = cursor ? cursor.value - subnet.value - first : -1n;
      // Both may be before the first: the sum is not.
      const offset = (from + capacity + jump) % capacity;
      const value = subnet.value + first + offset;
      return { subnet, cursor: { family: subnet.family, value } };
    }),
  );
}

/** Says that a state was restored from a backup, until what contradicts it has had time to show. */
const RESTORED_KEY: Key = ["agent", "restored"];

/** How a state was restored. */
export interface Restored {
  /** When the backup was made, in ms since 1970. */
  readonly takenAtMs: number;
  /** How long after its start a registry waits for those whom the backup does not know. */
  readonly settleMs: number;
}

/** The write that says that a state was restored. */
export function restoredPut(
  restored: Restored,
): { readonly key: Key; readonly value: JsonValue } {
  return { key: RESTORED_KEY, value: { ...restored } };
}

/** Whether a key is that of how a state was restored. */
export function isRestoredKey(key: Key): boolean {
  return key.length === RESTORED_KEY.length &&
    key.every((part, i) => part === RESTORED_KEY[i]);
}

/** Reads how a state was restored; undefined when it was not, or all is settled. */
export async function readRestored(
  store: Store,
): Promise<Restored | undefined> {
  const entry = await store.get(RESTORED_KEY);
  if (!entry) return undefined;
  return readEntry(entry, "mark of a restored state", (record) => ({
    takenAtMs: record.count("takenAtMs"),
    settleMs: record.count("settleMs"),
  }));
}

/** Forgets that a state was restored. */
export async function forgetRestored(store: Store): Promise<void> {
  await store.commit({ deletes: [RESTORED_KEY] });
}

/** How many hosts are asked who had what: one would do if it knew all. */
const MAX_REPORTS = 32;

const log = getLogger(["stellar-net", "agent", "registry"]);

/**
 * How long a registry that was restored from a backup gives out no new
 * subnets. It begins anew with every start until it has passed once.
 */
export class RestoreGrace {
  readonly #store: Store;
  readonly #uptimeMs: () => number;
  readonly #startedMs: number;
  #restored: Restored | undefined;
  #reports = 0;

  private constructor(
    store: Store,
    options: Pick<Clocks, "uptimeMs"> & {
      readonly restored: Restored | undefined;
    },
  ) {
    this.#store = store;
    this.#uptimeMs = options.uptimeMs;
    this.#startedMs = options.uptimeMs();
    this.#restored = options.restored;
  }

  /** Begins it where a state was restored; elsewhere there is none. */
  static async begin(
    store: Store,
    { uptimeMs }: Pick<Clocks, "uptimeMs">,
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
    return new RestoreGrace(store, { uptimeMs, restored });
  }

  /** How it stands, undefined when it is over. */
  get now(): Settling | undefined {
    if (!this.#restored) return undefined;
    const { takenAtMs, settleMs } = this.#restored;
    const leftMs = this.#startedMs + settleMs - this.#uptimeMs();
    return leftMs > 0
      ? { takenAt: new Date(takenAtMs).toISOString(), leftMs }
      : undefined;
  }

  /** Whether those who join are to tell who had what. */
  get asksForOwners(): boolean {
    return this.now !== undefined && this.#reports < MAX_REPORTS;
  }

  /** Takes in that one has told. */
  countReport(): void {
    this.#reports++;
  }

  /** Forgets what is over. */
  async look(): Promise<void> {
    if (!this.#restored || this.now) return;
    await forgetRestored(this.#store);
    this.#restored = undefined;
    log.info("The registry has settled: nodes that are new get subnets again");
  }
}
