/** Whether a value, as JSON has it, is of a kind. */
export type Check = (value: unknown) => boolean;

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

/** Whether a value is an object: no list, not null. */
export function isObject(
  value: unknown,
): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Makes a check of lists. */
export function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

/** Makes a check that takes null as well. */
export function orNull(check: Check): Check {
  return (value) => value === null || check(value);
}

/** Makes a check of objects. Each field may be missing, and others may be there. */
export function objectOf(fields: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(fields);
  return (value) =>
    isObject(value) &&
    checks.every(([name, check]) =>
      value[name] === undefined || check(value[name])
    );
}

/** Makes a check of objects of which some fields may not be missing. */
export function withFields(names: readonly string[], check: Check): Check {
  return (value) =>
    isObject(value) && names.every((name) => value[name] !== undefined) &&
    check(value);
}

/** What {@linkcode readRows} expects. */
export interface RowsOptions {
  /** For the message. */
  readonly program: string;
  readonly check: Check;
}

/**
 * Reads the list of objects that a program printed as JSON; nothing at all is
 * an empty list.
 *
 * @throws {SyntaxError} when it is no list, or an item does not pass the check
 */
export function readRows<T>(text: string, options: RowsOptions): readonly T[] {
  const { program, check } = options;
  // `ip` prints nothing at all where there is nothing to show.
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  if (!Array.isArray(value)) {
    throw new SyntaxError(`${program} printed no list`);
  }
  const at = value.findIndex((row) => !check(row));
  if (at < 0) return value;
  throw new SyntaxError(
    `${program} printed a list whose item ${at} has another shape than is known`,
  );
}

/**
 * Reads what a program printed, and takes a value in it that cannot be parsed
 * for a sign that it is not what it should be.
 *
 * @throws {SyntaxError} where `read` throws a RangeError
 */
export function readStrictly<T>(program: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new SyntaxError(
      `${program} printed what is not understood: ${cause.message}`,
      { cause },
    );
  }
}
