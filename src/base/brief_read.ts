/** Time for which a reader waits, in ms. */
const WAIT_MS = 200;

/**
 * Reads something that may take long, such as from a store out of reach, for
 * readers that do not wait: metrics are scraped within seconds. Readers at once
 * share one reading, which goes on when they have gone.
 */
export class BriefRead<T> {
  readonly #read: () => Promise<T>;
  #reading: Promise<T> | undefined;

  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  /** Returns the value; undefined when reading takes long. @throws what the reading throws */
  async get(): Promise<T | undefined> {
    const reading = this.#reading ??= this.#read()
      .finally(() => this.#reading = undefined);
    // It may fail when its readers have gone.
    reading.catch(() => {});
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), WAIT_MS);
    try {
      return await Promise.race([reading, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
