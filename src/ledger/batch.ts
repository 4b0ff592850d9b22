import type {
  Check,
  Commit,
  JsonValue,
  Key,
  StoreLimits,
} from "../store/store.ts";

/** Writes of a commit, and what else has to hold for it. */
export interface Writes {
  readonly checks?: readonly Check[];
  readonly puts?: readonly { readonly key: Key; readonly value: JsonValue }[];
  readonly deletes?: readonly Key[];
}

/** The writes of one commit: of several to one key, the last. */
export class Batch {
  readonly #limits: StoreLimits;
  readonly #writes = new Map<string, { key: Key; value?: JsonValue }>();
  readonly #checks: Check[] = [];
  /** What was added, in bytes of JSON: never less than what is committed. */
  #keyBytes = 0;
  #bytes = 0;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#writes.size === 0;
  }

  /** Whether a limit is half used: until then another request fits. */
  get isFull(): boolean {
    const { maxMutations, maxChecks, maxPutKeyBytes, maxCommitBytes } =
      this.#limits;
    return this.#writes.size > maxMutations / 2 ||
      this.#checks.length > maxChecks / 2 ||
      this.#keyBytes > maxPutKeyBytes / 2 ||
      this.#bytes > maxCommitBytes / 2;
  }

  add(writes: Writes): void {
    this.#checks.push(...writes.checks ?? []);
    for (const key of writes.deletes ?? []) this.#write({ key });
    for (const put of writes.puts ?? []) this.#write(put);
  }

  commit(): Commit {
    const puts: { key: Key; value: JsonValue }[] = [];
    const deletes: Key[] = [];
    for (const { key, value } of this.#writes.values()) {
      if (value === undefined) deletes.push(key);
      else puts.push({ key, value });
    }
    return { checks: this.#checks, puts, deletes };
  }

  #write(write: { key: Key; value?: JsonValue }): void {
    const key = JSON.stringify(write.key);
    this.#writes.set(key, write);
    this.#keyBytes += key.length;
    this.#bytes += key.length + (JSON.stringify(write.value)?.length ?? 0);
  }
}
