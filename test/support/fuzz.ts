import assert from "node:assert/strict";
import process from "node:process";
import fc from "fast-check";
import { CniError } from "../../src/cni/text/errors.ts";
import { HttpSyntaxError } from "../../src/cni/text/http_message.ts";
import { NetError } from "../../src/base/error.ts";

/** The seed of all fuzzing in this process: `FUZZ_SEED` repeats a run. */
export const FUZZ_SEED: number = readSeed();

/** Counts what became of inputs. */
export class Tally {
  readonly #name: string;
  readonly #counts = new Map<string, number>();
  #total = 0;

  /** @param name what is fuzzed */
  constructor(name: string) {
    this.#name = name;
  }

  /** How many inputs were tried. */
  get total(): number {
    return this.#total;
  }

  /** Counts an input by what came of it. */
  add(outcome: string): void {
    this.#total++;
    this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + 1);
  }

  /** Writes the figures, and how to have them again. */
  print(): void {
    const counts = [...this.#counts].sort().map(([what, n]) => `${what} ${n}`);
    console.log(
      `fuzz ${this.#name}: ${this.#total} inputs, ${counts.join(", ")}, ` +
        `crashes: none (FUZZ_SEED=${FUZZ_SEED})`,
    );
  }
}

/** Runs a property with the seed. */
export function checkFuzz<T>(
  inputs: fc.Arbitrary<T>,
  numRuns: number,
  property: (input: T) => void,
): void {
  fc.assert(fc.property(inputs, property), { seed: FUZZ_SEED, numRuns });
}

/** Draws inputs with the seed. */
export function drawFuzz<T>(inputs: fc.Arbitrary<T>, numRuns: number): T[] {
  return fc.sample(inputs, { seed: FUZZ_SEED, numRuns });
}

/** What V8 itself throws RangeErrors for: no parser means it. */
const DEFECT =
  /call stack|BigInt|Invalid (?:array|string|time|count|date)|radix|precision|out of (?:bounds|range)|allocation/i;

/** Characters of a text that is long for a parser that looks at each pair. */
export const LONG_TEXT = 100_000;
/** Processor time: such a parser takes several seconds for it, another some milliseconds. */
const MAX_MS = 1500;

/** Runs what must take no longer than the length of its input asks for, whatever else the machine does. */
export function assertQuick(run: () => void, what: string): void {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  const ms = Math.round((user + system) / 1_000);
  assert.ok(ms < MAX_MS, `${JSON.stringify(what)} took ${ms} ms`);
}

/** Names the kind of a refusal. Throws what is none: a defect. */
export function nameRefusal(error: unknown): string {
  if (error instanceof NetError) {
    assert.notEqual(error.code, "internal", error);
    return error.code;
  }
  if (error instanceof CniError) {
    assert.notEqual(error.condition, "internal", error);
    return error.condition;
  }
  const isRefusal = error instanceof SyntaxError ||
    error instanceof HttpSyntaxError || error instanceof RangeError;
  if (!isRefusal) throw error;
  // Our messages about a value begin with it; V8's never begin with a quote.
  const isOurs = error.message.startsWith('"');
  if (!isOurs && DEFECT.test(error.message)) throw error;
  return error.name;
}

/** What parsers trip over. */
const TOKENS = ["", "\0", "\x1b[2J", "\n", "\r\n", " ", "\u202e", "\ud800", "٣"]
  .concat("../", "/", "//", ":", "::", "%", "%00", "[", "]", "@", ",", ";", "=")
  .concat("-", "--", ".", "..", "'", '"', "`", "$(id)", "|", "&", "*", "?", "#")
  .concat("0x", "-1", "1e9", "NaN", "4294967296", "99999999999999999999")
  .concat("null", "[]", "{}", "true", "__proto__", "constructor", "é", "😀");

/** Any text, half of it ASCII, with halves of surrogate pairs. */
function anyText(maxLength: number): fc.Arbitrary<string> {
  const unit = fc.oneof(fc.nat(0x7f), fc.nat(0xffff));
  return fc.array(unit, { maxLength }).map((units) =>
    String.fromCharCode(...units)
  );
}

/** Texts made from valid ones, and texts of no meaning. */
export function fuzzedText(valid: readonly string[]): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(...TOKENS),
    anyText(4),
  );
  const edits = fc.array(
    fc.record({
      kind: fc.constantFrom("insert", "delete", "replace", "repeat", "cut"),
      at: fc.nat(),
      length: fc.integer({ min: 1, max: 16 }),
      piece,
    }),
    { minLength: 1, maxLength: 4 },
  );
  const mutated = fc.tuple(fc.constantFrom(...valid), edits)
    .map(([text, list]) => list.reduce(editText, text));
  return fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...valid) },
    { weight: 16, arbitrary: mutated },
    { weight: 2, arbitrary: anyText(300) },
    { weight: 1, arbitrary: fc.array(piece).map((parts) => parts.join("")) },
  );
}

interface Edit {
  readonly kind: "insert" | "delete" | "replace" | "repeat" | "cut";
  readonly at: number;
  readonly length: number;
  readonly piece: string;
}

function editText(text: string, edit: Edit): string {
  const at = edit.at % (text.length + 1);
  const [head, tail] = [text.slice(0, at), text.slice(at + edit.length)];
  const taken = text.slice(at, at + edit.length);
  switch (edit.kind) {
    case "insert":
      return head + edit.piece + taken + tail;
    case "delete":
      return head + tail;
    case "replace":
      return head + edit.piece + tail;
    case "repeat":
      return head + taken.repeat(edit.length + 1) + tail;
    case "cut":
      return head;
  }
}

/** What stands in JSON where something else should. */
const VALUES: readonly unknown[] = [null, true, false, 0, -1, 1.5, 1e308]
  .concat(
    [2 ** 53, "", "x", "0", "../x", "\x1b[2J\0", "\u202e", "😀"] as never[],
    ["1".repeat(400), [], {}, [null], [[]], ["x", 5], { x: null }] as never[],
    [{ length: 5 }, JSON.parse('{"__proto__": {"x": 1}}')] as never[],
  );

/** JSON values made from valid ones: a value in another's place, keys left out, items twice. */
export function fuzzedJson(valid: readonly unknown[]): fc.Arbitrary<unknown> {
  const edits = fc.array(
    fc.record({
      kind: fc.constantFrom("put", "put", "delete", "repeat"),
      at: fc.nat(),
      value: fc.constantFrom(...VALUES),
    }),
    { minLength: 1, maxLength: 3 },
  );
  const mutated = fc.tuple(fc.constantFrom(...valid), edits)
    .map(([value, list]) =>
      list.reduce(
        (whole, edit) =>
          editJson(whole, edit.at % Math.max(1, countValues(whole)), edit),
        value,
      )
    );
  return fc.oneof(
    { weight: 8, arbitrary: mutated },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  );
}

interface JsonEdit {
  readonly kind: string;
  readonly value: unknown;
}

function countValues(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((n, part) => n + countValues(part), 1);
}

/** Edits the value that comes at a place when all are counted, itself first. */
function editJson(value: unknown, at: number, edit: JsonEdit): unknown {
  if (at === 0) {
    if (edit.kind === "repeat" && Array.isArray(value)) {
      return [...value, ...value];
    }
    return edit.kind === "delete" ? undefined : edit.value;
  }
  let left = at - 1;
  const parts = Object.entries(value as object).map(([key, part]) => {
    const size = countValues(part);
    const edited = left >= 0 && left < size ? editJson(part, left, edit) : part;
    left -= size;
    return [key, edited] as const;
  }).filter(([, part]) => part !== undefined);
  return Array.isArray(value)
    ? parts.map(([, part]) => part)
    : Object.fromEntries(parts);
}

/** Bytes made from valid ones: bits turned, parts left out, doubled or put in. */
export function fuzzedBytes(
  valid: readonly Uint8Array[],
): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const edits = fc.array(
    fc.record({
      kind: fc.constantFrom("flip", "delete", "insert", "repeat", "cut"),
      at: fc.nat(),
      length: fc.integer({ min: 1, max: 12 }),
      bytes: fc.uint8Array({ maxLength: 6 }),
    }),
    { minLength: 1, maxLength: 4 },
  );
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(fc.constantFrom(...valid), edits)
        .map(([bytes, list]) => list.reduce(editBytes, [...bytes])),
    },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => [...bytes]),
    },
  ).map((bytes) => Uint8Array.from(bytes));
}

function editBytes(
  bytes: readonly number[],
  edit: {
    readonly kind: string;
    readonly at: number;
    readonly length: number;
    readonly bytes: Uint8Array;
  },
): number[] {
  const at = edit.at % (bytes.length + 1);
  const head = bytes.slice(0, at);
  const taken = bytes.slice(at, at + edit.length);
  const tail = bytes.slice(at + edit.length);
  switch (edit.kind) {
    case "flip":
      return [
        ...head,
        ...taken.map((b) => b ^ (1 << edit.length % 8)),
        ...tail,
      ];
    case "delete":
      return [...head, ...tail];
    case "insert":
      return [...head, ...edit.bytes, ...taken, ...tail];
    case "repeat":
      return [...head, ...taken, ...taken, ...tail];
    default:
      return head;
  }
}

function readSeed(): number {
  const text = Deno.env.get("FUZZ_SEED");
  if (text !== undefined && text !== "") return Number(text) | 0;
  return crypto.getRandomValues(new Int32Array(1))[0]!;
}
