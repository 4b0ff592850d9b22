import { quote } from "../net/address.ts";

/** A JSON object whose fields are not known yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object of JSON: no list, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export interface JsonReaderOptions {
  /** Makes the error of a field; its path is such as `ipam.routes[0].dst`. */
  readonly invalid: (path: string, why: string) => Error;
  /** Shows a value of the wrong type in an error. Default: "it", for the value may be a secret. */
  readonly show?: (value: unknown) => string;
}

const DIGITS = /^\d+$/;

/**
 * Reads the fields of a JSON object, each by its type. Null counts as
 * missing. Every method throws the `invalid` error of the options.
 */
export class JsonReader {
  /** Where the object is in the whole; empty for the whole itself. */
  readonly path: string;
  readonly #fields: JsonObject;
  readonly #options: JsonReaderOptions;
  readonly #read = new Set<string>();

  constructor(fields: JsonObject, options: JsonReaderOptions, path = "") {
    this.#fields = fields;
    this.#options = options;
    this.path = path;
  }

  /** A string, parsed if there is a parser. A RangeError of the parser is an error of the field. */
  text<T extends string = string>(
    key: string,
    parse?: (text: string) => T,
  ): T {
    const text = this.#required(key, this.optionalText(key));
    return parse ? this.#parsed(key, () => parse(text)) : text as T;
  }

  /** A string, undefined when it is missing. */
  optionalText(key: string): string | undefined {
    return this.#optional(key, isText, "a string");
  }

  /** A whole number from `least` on. A time in ms is one from 0 on. */
  count(key: string, least = 0): number {
    return this.#required(key, this.optionalCount(key, least));
  }

  /** A whole number from `least` on, undefined when it is missing. */
  optionalCount(key: string, least = 0): number | undefined {
    const isCount = (value: unknown): value is number =>
      Number.isSafeInteger(value) && value as number >= least;
    return this.#optional(key, isCount, `a whole number from ${least} on`);
  }

  /** A boolean. */
  flag(key: string): boolean {
    return this.#required(key, this.optionalFlag(key));
  }

  /** A boolean, undefined when it is missing. */
  optionalFlag(key: string): boolean | undefined {
    const isFlag = (value: unknown): value is boolean =>
      typeof value === "boolean";
    return this.#optional(key, isFlag, "true or false");
  }

  /** A reader of an object. */
  object(key: string): JsonReader {
    return this.#required(key, this.optionalObject(key));
  }

  /** A reader of an object, undefined when it is missing. */
  optionalObject(key: string): JsonReader | undefined {
    const fields = this.#optional(key, isObject, "an object");
    return fields && new JsonReader(fields, this.#options, this.pathOf(key));
  }

  /** Readers of a list of objects, undefined when it is missing. */
  optionalObjects(key: string): JsonReader[] | undefined {
    return this.#items(key, (list, index) => list.object(index));
  }

  /** A list of strings. */
  texts(key: string): string[] {
    return this.#required(key, this.optionalTexts(key));
  }

  /** Readers of a list of objects. */
  objects(key: string): JsonReader[] {
    return this.#required(key, this.optionalObjects(key));
  }

  /** A list of strings, undefined when it is missing. */
  optionalTexts(key: string): string[] | undefined {
    return this.#items(key, (list, index) => list.text(index));
  }

  /** A value that another function reads. Its RangeError is an error of the field. */
  nested<T>(key: string, read: (value: unknown) => T): T {
    return this.#parsed(key, () => read(this.#take(key)));
  }

  /** A list of values that another function reads, see {@linkcode JsonReader.nested}. */
  list<T>(key: string, read: (value: unknown) => T): T[] {
    const items = this.#items(key, (list, index) => list.#take(index));
    const values = this.#required(key, items);
    return this.#parsed(key, () => values.map(read));
  }

  /** Ends the reading. Throws when there is a field that was not asked for. */
  end(): void {
    const unknown = Object.keys(this.#fields).find((k) => !this.#read.has(k));
    if (unknown === undefined) return;
    throw this.invalid(unknown, "it is not known to this version");
  }

  /** The error of a field. */
  invalid(key: string, why: string): Error {
    return this.#options.invalid(this.pathOf(key), why);
  }

  /** Where a field is in the whole. */
  pathOf(key: string): string {
    if (DIGITS.test(key)) return `${this.path}[${key}]`;
    return this.path === "" ? key : `${this.path}.${key}`;
  }

  #items<T>(
    key: string,
    read: (list: JsonReader, index: string) => T,
  ): T[] | undefined {
    const items = this.#optional(key, isList, "a list");
    if (!items) return undefined;
    const list = new JsonReader({ ...items }, this.#options, this.pathOf(key));
    return items.map((_, index) => read(list, String(index)));
  }

  #optional<T>(
    key: string,
    is: (value: unknown) => value is T,
    type: string,
  ): T | undefined {
    const value = this.#take(key);
    if (value === undefined || value === null) return undefined;
    if (is(value)) return value;
    const { show = () => "it" } = this.#options;
    throw this.invalid(key, `${show(value)} is not ${type}`);
  }

  #required<T>(key: string, value: T | undefined): T {
    if (value === undefined) throw this.invalid(key, "it is missing");
    return value;
  }

  #take(key: string): unknown {
    this.#read.add(key);
    return Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined;
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

/**
 * Makes a reader of a stored record.
 *
 * @param what names the record in errors, such as "join token"
 * @throws {RangeError} when the value is not an object, as every method does when
 * a field is not valid. It quotes no value: that may be a secret
 */
export function readRecord(what: string, value: unknown): JsonReader {
  const refuse = (why: string) =>
    new RangeError(`The ${what} is not valid: ${why}`);
  if (!isObject(value)) throw refuse("it is not an object");
  return new JsonReader(value, {
    invalid: (path, why) => refuse(`field ${quote(path)}: ${why}`),
  });
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}
