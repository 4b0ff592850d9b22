import { formatKey, keyText } from "./key.ts";
import type { Commit, JsonValue, Key, StoreLimits } from "./store.ts";

// The checks of a commit that all adapters share. They throw a RangeError.

const encoder = new TextEncoder();

/** Checks the size of a commit, and that it writes no key twice. */
export function checkCommit(commit: Commit, limits: StoreLimits): void {
  const { checks = [], puts = [], deletes = [] } = commit;
  const { maxChecks, maxMutations } = limits;
  checkLimit("its checks", checks.length, maxChecks);
  checkLimit(
    "its puts and deletes",
    puts.length + deletes.length,
    maxMutations,
  );
  const seen = new Set<string>();
  for (const key of [...puts.map((put) => put.key), ...deletes]) {
    const text = keyText(key);
    if (seen.has(text)) {
      throw new RangeError(
        `Cannot commit: ${formatKey(key)} is put or deleted twice`,
      );
    }
    seen.add(text);
  }
}

/** Checks one size of a commit. @param what its name, in the plural */
export function checkLimit(what: string, actual: number, most: number): void {
  if (actual > most) {
    throw new RangeError(
      `Cannot commit: ${what} are ${actual}, the store takes ${most}`,
    );
  }
}

/** Encodes a value as JSON in UTF-8. */
export function encodeValue(
  { key, value }: { readonly key: Key; readonly value: JsonValue },
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const text: string | undefined = JSON.stringify(value);
  if (value === null || text === undefined) {
    throw new RangeError(
      `Cannot put ${
        formatKey(key)
      }: the value is ${value}; delete the key instead`,
    );
  }
  const bytes = encoder.encode(text);
  if (bytes.length > maxBytes) {
    throw new RangeError(
      `Cannot put ${
        formatKey(key)
      }: the value has ${bytes.length} bytes, the store takes ${maxBytes}`,
    );
  }
  return bytes;
}

/** The error of a version that is not of this store. */
export function foreignVersion(key: Key, version: string): RangeError {
  return new RangeError(
    `Cannot check ${formatKey(key)}: "${version}" is no version of this store`,
  );
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
