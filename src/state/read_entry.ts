import { NetError } from "../base/error.ts";
import { type JsonReader, readRecord } from "../base/json_reader.ts";
import type { Entry, JsonValue } from "../store/store.ts";

/**
 * Reads the value of an entry as a record.
 *
 * @param what names the record in errors, such as "join token"
 * @throws {NetError} `failed_precondition` when the record is damaged
 */
export function readEntry<T>(
  entry: Entry,
  what: string,
  read: (record: JsonReader) => T,
): T {
  return readEntryValue(entry, (value) => read(readRecord(what, value)));
}

/** Reads the value of an entry with any function, see {@linkcode readEntry}. */
export function readEntryValue<T>(
  { key, value }: Entry,
  read: (value: JsonValue) => T,
): T {
  try {
    return read(value);
  } catch (cause) {
    const why = cause instanceof RangeError ? ` (${cause.message})` : "";
    throw new NetError(
      "failed_precondition",
      `Cannot read ${
        JSON.stringify(key)
      } from the store: its value is damaged${why}; restore the state from a backup`,
      { cause },
    );
  }
}
