import { Buffer } from "node:buffer";
import type { Key } from "./store.ts";

/**
 * Checks a key: see `Key`.
 *
 * It refuses lone surrogates, since engines store them all as U+FFFD, which
 * would make one key of two, and `-0`, which some engines tell apart from `0`.
 *
 * @throws {RangeError} naming the key and what is wrong with it
 */
export function checkKey(key: Key): void {
  if (key.length === 0) throw new RangeError("[] is not a key: it is empty");
  checkPrefix(key);
}

/** Checks a prefix: a key, or empty. @throws {RangeError} as `checkKey` */
export function checkPrefix(prefix: Key): void {
  for (const [index, part] of prefix.entries()) {
    const wrong = defectOf(part);
    if (wrong !== undefined) {
      throw new RangeError(
        `${formatKey(prefix)} is not a key: part ${index} ${wrong}`,
      );
    }
  }
}

/** Whether a key is longer than a prefix and begins with it. */
export function isBelow(prefix: Key, key: Key): boolean {
  return key.length > prefix.length &&
    prefix.every((part, index) => part === key[index]);
}

/** Orders keys as stores do: see `Key`. */
export function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareParts(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** The unique text of a key. */
export function keyText(key: Key): string {
  return JSON.stringify(key);
}

/** Formats a key for a message: as JSON, cut when it is long. */
export function formatKey(key: Key): string {
  const text = keyText(key);
  return text.length > 200 ? text.slice(0, 197) + "..." : text;
}

function defectOf(part: unknown): string | undefined {
  if (typeof part === "string") {
    if (part === "") return "is empty";
    return part.isWellFormed() ? undefined : "has a lone surrogate";
  }
  return Number.isSafeInteger(part) && (part as number) >= 0 &&
      !Object.is(part, -0)
    ? undefined
    : "is neither a text nor a safe integer from 0";
}

function compareParts(a: string | number, b: string | number): number {
  if (a === b) return 0;
  if (typeof a === "number") return typeof b === "number" ? a - b : 1;
  if (typeof b === "number") return -1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
