/**
 * A map of bounded size: where one more entry would be too many, the one that
 * was set first goes. Setting an entry again makes it the latest.
 */
export class RecentMap<K, V> extends Map<K, V> {
  readonly #maxSize: number;

  /** @param maxSize the most entries, at least 1 */
  constructor(maxSize: number) {
    super();
    this.#maxSize = maxSize;
  }

  override set(key: K, value: V): this {
    this.delete(key);
    super.set(key, value);
    const [first] = this.keys();
    if (this.size > this.#maxSize) this.delete(first!);
    return this;
  }
}
