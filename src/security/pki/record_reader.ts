import { quote } from "../../net/address.ts";

/**
 * Reads the fields of a stored record, each by its type. A field that is
 * missing, of another type, or not known is refused: what a newer version
 * added may be a restriction, and an older one must not overlook it.
 */
export class RecordReader {
  readonly #what: string;
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #read = new Set<string>();

  /** @throws {RangeError} when the value is no object */
  constructor(what: string, value: unknown) {
    this.#what = what;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new RangeError(`The ${what} is not valid: it is no object`);
    }
    this.#fields = new Map(Object.entries(value));
  }

  /** A text, checked by a grammar if there is one. */
  text<T extends string = string>(
    key: string,
    parse?: (text: string) => T,
  ): T {
    const value = this.#take(key);
    if (typeof value !== "string") throw this.invalid(key, "it is no text");
    return parse ? this.#parsed(key, () => parse(value)) : value as T;
  }

  /** A whole number from a least one on; a time is one from 0. */
  count(key: string, least = 0): number {
    const value = this.#take(key);
    if (Number.isSafeInteger(value) && (value as number) >= least) {
      return value as number;
    }
    throw this.invalid(key, `it is no whole number from ${least} on`);
  }

  /** A value that another reader knows. */
  nested<T>(key: string, read: (value: unknown) => T): T {
    const value = this.#take(key);
    return this.#parsed(key, () => read(value));
  }

  /** A list of values that another reader knows. */
  list<T>(key: string, read: (value: unknown) => T): T[] {
    const value = this.#take(key);
    if (!Array.isArray(value)) throw this.invalid(key, "it is no list");
    return this.#parsed(key, () => value.map(read));
  }

  /** Ends the reading. @throws {RangeError} when a field was not asked for */
  end(): void {
    const unknown = [...this.#fields.keys()].find((k) => !this.#read.has(k));
    if (unknown === undefined) return;
    throw this.invalid(unknown, "it is not known to this version");
  }

  /** The error of a field. It quotes no value: it may be a secret. */
  invalid(key: string, why: string): RangeError {
    return new RangeError(
      `The ${this.#what} is not valid: field ${quote(key)}: ${why}`,
    );
  }

  #take(key: string): unknown {
    this.#read.add(key);
    return this.#fields.get(key);
  }

  #parsed<T>(key: string, parse: () => T): T {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw this.invalid(key, error.message);
    }
  }
}
