import {
  isObject,
  type JsonObject,
  JsonReader,
} from "../../base/json_reader.ts";
import { escapeUnsafe, quote } from "../../net/address.ts";
import { CniError } from "./errors.ts";

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
      `it is not JSON: ${
        cause instanceof Error ? escapeUnsafe(cause.message) : ""
      }`,
      cause,
    );
  }
  if (isObject(value)) return value;
  throw refuse(`it is ${describe(value)}, not an object`);
}

/** Shows a value of unknown origin: short, on one line, safe on a terminal. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (isObject(value)) return "an object";
  return typeof value === "string" ? quote(value) : String(value);
}

/** The error of a key of the configuration. The path names it, such as `ipam.socket`. */
export function invalidKey(path: string, what: string): CniError {
  return new CniError("invalid_config", `Invalid key "${path}": ${what}`);
}

/** A reader of the network configuration. */
export function readConfig(config: JsonObject): JsonReader {
  return new JsonReader(config, { invalid: invalidKey, show: describe });
}

/** Parses a text, or gives undefined where the parser throws a RangeError. */
export function parsed<T>(
  parse: (text: string) => T,
  text: string,
): T | undefined {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
