import { CniError } from "./errors.ts";

/** An object as JSON has it, not looked into yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_QUOTED = 80;

/**
 * Decodes a JSON object.
 *
 * @param name what it is, for the message
 * @throws {CniError} `decoding_failure` when it is not UTF-8, no JSON or no object
 */
export function decodeObject(bytes: Uint8Array, name: string): JsonObject {
  const refuse = (what: string, cause?: unknown) =>
    new CniError("decoding_failure", `Cannot decode ${name}: ${what}`, {
      cause,
    });
  if (bytes.length === 0) throw refuse("it is empty");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes);
  } catch (cause) {
    throw refuse("it is not UTF-8", cause);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse(
      `it is not JSON: ${cause instanceof Error ? escape(cause.message) : ""}`,
      cause,
    );
  }
  if (isObject(value)) return value;
  throw refuse(`it is ${describe(value)}, not an object`);
}

/** Whether a value is an object of JSON: no list, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Puts a value of unknown origin into a message: short, on one line, safe on a terminal. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (isObject(value)) return "an object";
  if (typeof value !== "string") return String(value);
  return escape(JSON.stringify(
    value.length > MAX_QUOTED ? value.slice(0, MAX_QUOTED - 3) + "..." : value,
  ));
}

/** The error of a key of the configuration. The path names it, such as `ipam.socket`. */
export function invalidKey(path: string, what: string): CniError {
  return new CniError("invalid_config", `Invalid key "${path}": ${what}`);
}

/** Reads a text that may be missing; null is as good as missing. */
export function readString(value: unknown, path: string): string | undefined {
  return read(value, path, {
    is: (v): v is string => typeof v === "string",
    type: "a string",
  });
}

/** Reads an object that may be missing. */
export function readObject(
  value: unknown,
  path: string,
): JsonObject | undefined {
  return read(value, path, { is: isObject, type: "an object" });
}

/** Reads a list that may be missing. */
export function readList(
  value: unknown,
  path: string,
): readonly unknown[] | undefined {
  return read(value, path, { is: Array.isArray, type: "a list" });
}

/** Reads a whole number, not below 0, that may be missing. */
export function readCount(value: unknown, path: string): number | undefined {
  return read(value, path, {
    is: (v): v is number => Number.isSafeInteger(v) && v as number >= 0,
    type: "a whole number from 0 on",
  });
}

/** Reads a list of texts that may be missing. */
export function readStrings(
  value: unknown,
  path: string,
): readonly string[] | undefined {
  return readList(value, path)?.map((item, index) =>
    requireValue(readString(item, `${path}[${index}]`), `${path}[${index}]`)
  );
}

/** @throws {CniError} `invalid_config` when the value is missing */
export function requireValue<T>(value: T | undefined, path: string): T {
  if (value === undefined) throw invalidKey(path, "it is missing");
  return value;
}

function read<T>(
  value: unknown,
  path: string,
  kind: { readonly is: (value: unknown) => value is T; readonly type: string },
): T | undefined {
  if (value === undefined || value === null) return undefined;
  if (kind.is(value)) return value;
  throw invalidKey(path, `${describe(value)} is not ${kind.type}`);
}

/** What a terminal acts on stands in no message. */
function escape(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => char.split("").map(escapeUnit).join(""),
  );
}

function escapeUnit(unit: string): string {
  return "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");
}
