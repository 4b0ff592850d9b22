import { isObject } from "../../base/json_reader.ts";

// The output of programs such as `ip`, which may list thousands of objects, is
// checked in place: nothing is copied, and fields that nobody reads may be there.

/** Whether a value, as JSON has it, is of a type. */
export type Check<T = unknown> = (value: unknown) => value is T;

export type Checked<C> = C extends Check<infer T> ? T : never;

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === "boolean";
}

/** `ip -N` prints numbers as texts in some places. */
export function isTextOrNumber(value: unknown): value is string | number {
  return isText(value) || isNumber(value);
}

/** Makes a check of lists. */
export function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value): value is readonly T[] =>
    Array.isArray(value) && value.every(check);
}

/** Makes a check that takes null as well. */
export function orNull<T>(check: Check<T>): Check<T | null> {
  return (value): value is T | null => value === null || check(value);
}

type Checks = Readonly<Record<string, Check>>;
type Fields<C extends Checks> = {
  readonly [K in keyof C]?: Checked<C[K]>;
};

/** Makes a check of objects. Each field may be missing, and others may be there. */
export function objectOf<const C extends Checks>(fields: C): Check<Fields<C>> {
  const checks = Object.entries(fields);
  return (value): value is Fields<C> =>
    isObject(value) &&
    checks.every(([name, check]) =>
      value[name] === undefined || check(value[name])
    );
}

/** Makes a check of objects of which some fields may not be missing. */
export function withFields<T, K extends keyof T & string>(
  names: readonly K[],
  check: Check<T>,
): Check<T & { readonly [N in K]: Exclude<T[N], undefined> }> {
  return (
    value,
  ): value is T & { readonly [N in K]: Exclude<T[N], undefined> } =>
    isObject(value) && names.every((name) => value[name] !== undefined) &&
    check(value);
}

/** Options of {@linkcode readRows}. */
export interface RowsOptions<T> {
  /** Name of the program, for errors. */
  readonly program: string;
  readonly check: Check<T>;
}

/**
 * Reads the list of objects that a program printed as JSON. No output is an
 * empty list.
 *
 * @throws {SyntaxError} when it is not a list, or an item does not pass the check
 */
export function readRows<T>(
  text: string,
  { program, check }: RowsOptions<T>,
): readonly T[] {
  // `ip` prints nothing at all where there is nothing to show.
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  if (!Array.isArray(value)) {
    throw new SyntaxError(`${program} printed no list`);
  }
  const at = value.findIndex((row) => !check(row));
  if (at < 0) return value;
  throw new SyntaxError(
    `${program} printed a list whose item ${at} has an unknown shape`,
  );
}

/**
 * Makes a value that cannot be parsed an error of the program's output.
 *
 * @throws {SyntaxError} where `read` throws a RangeError
 */
export function readStrictly<T>(program: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new SyntaxError(
      `${program} printed an unknown value: ${cause.message}`,
      { cause },
    );
  }
}
