import { getLogger } from "@logtape/logtape";
import type { Settling } from "./plan/settling.ts";
import type { Store } from "../store/store.ts";
import type { Clocks } from "./liveness.ts";
import { forgetRestored, readRestored, type Restored } from "./restored.ts";

/** How many hosts are asked who had what: one would do if it knew all. */
const MAX_REPORTS = 32;

const log = getLogger(["stellar-net", "agent", "registry"]);

/**
 * How long a registry that was restored from a backup gives out no new
 * subnets. It begins anew with every start until it has passed once.
 */
export class SettlingTime {
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
  ): Promise<SettlingTime> {
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
    return new SettlingTime(store, { uptimeMs, restored });
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
