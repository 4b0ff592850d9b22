import { NetError } from "../base/error.ts";
import type { Check, Entry, Key, Store } from "../store/store.ts";
import { IDENTITY_REVISION_KEY, type Put } from "../state/identity_records.ts";

/** How often a change is planned again when others change identities meanwhile. */
const MAX_CONFLICTS = 32;
/** Longest wait before that, in ms. */
const MAX_WAIT_MS = 50;

/** What a plan answers, and what has to be written for it. Nothing: all is as it should be. */
export interface PlannedWrites<T> {
  readonly answer: T;
  readonly puts?: readonly Put[];
  readonly deletes?: readonly Key[];
}

/** Keys that forbid a change while they exist. */
export interface StoreMarks {
  readonly checks: readonly Check[];
  /** What is said where one exists. */
  readonly refuse: (entry: Entry) => NetError;
}

/**
 * Changes of identities, each of them one commit. A plan reads what it needs;
 * what it has read is as it was when its writes are committed, for every
 * commit raises one counter and checks that it is the next: of this process
 * and of others that use the store.
 */
export class IdentityTransactions {
  readonly #store: Store;
  readonly #marks: StoreMarks | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(store: Store, marks?: StoreMarks) {
    this.#store = store;
    this.#marks = marks;
  }

  /**
   * Plans a change and commits it; one after the other in this process.
   *
   * @param plan is called again when others have changed anything meanwhile
   * @throws {NetError} what the plan throws, and `unavailable` when others keep
   * changing identities
   */
  run<T>(plan: () => Promise<PlannedWrites<T>>): Promise<T> {
    const run = this.#last.then(() => this.#run(plan));
    this.#last = run.catch(() => {});
    return run;
  }

  async #run<T>(plan: () => Promise<PlannedWrites<T>>): Promise<T> {
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
      const counter = await this.#store.get(IDENTITY_REVISION_KEY);
      const { answer, puts = [], deletes = [] } = await plan();
      if (puts.length === 0 && deletes.length === 0) return answer;
      const { committed } = await this.#store.commit({
        checks: [
          { key: IDENTITY_REVISION_KEY, version: counter?.version ?? null },
          ...this.#marks?.checks ?? [],
        ],
        puts: [...puts, {
          key: IDENTITY_REVISION_KEY,
          value: Number(counter?.value ?? 0) + 1,
        }],
        deletes,
      });
      if (committed) return answer;
      await this.#refuseMarked();
      // Who has lost lets the others go first.
      const waitMs = crypto.getRandomValues(new Uint8Array(1))[0]! *
        Math.min(conflicts + 1, MAX_WAIT_MS) / 255;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    throw new NetError(
      "unavailable",
      `Cannot change identities in ${this.#store.url}: others keep changing them; try again`,
    );
  }

  async #refuseMarked(): Promise<void> {
    for (const { key } of this.#marks?.checks ?? []) {
      const entry = await this.#store.get(key);
      if (entry) throw this.#marks!.refuse(entry);
    }
  }
}
