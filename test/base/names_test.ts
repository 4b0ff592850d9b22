import assert from "node:assert/strict";
import {
  parseApiUrl,
  parseId,
  parseLabels,
  parseNodeName,
  parsePath,
  parseText,
} from "../../src/base/names.ts";

type Parse = (text: string) => unknown;

/** The longest text that a parser accepts, and what it accepts besides. */
const LONGEST: readonly [name: string, parse: Parse, longest: string][] = [
  ["parseNodeName()", parseNodeName, "a".repeat(253)],
  ["parseText()", parseText, "ä".repeat(1_024)],
  ["parseId()", parseId, "0".repeat(64)],
  ["parsePath()", parsePath, `/${"a".repeat(4_094)}`],
  ["a label's key", (key) => parseLabels({ [key]: "" }), "k".repeat(63)],
  ["a label's value", (value) => parseLabels({ k: value }), "v".repeat(255)],
];

for (const [name, parse, longest] of LONGEST) {
  Deno.test(`${name} accepts ${longest.length} characters and no more`, () => {
    parse(longest);
    assert.throws(() => parse(`${longest}a`), RangeError);
  });
}

Deno.test("parsePath() counts bytes", () => {
  parsePath(`/${"ä".repeat(2_047)}`);
  assert.throws(() => parsePath(`/${"ä".repeat(2_048)}`), RangeError);
});

for (
  const [name, parse, refused] of [
    ["parseNodeName()", parseNodeName, ["", "-a", "a-", "a/b", "a b", "ä"]],
    ["parseText()", parseText, ["a\nb", "\x1b[31m", "\u202e"]],
    ["parseId()", parseId, ["", "a_b", "a b", "../a"]],
    ["parsePath()", parsePath, ["", "a/b", "/a\0b", "/a\nb"]],
    ["parseApiUrl()", parseApiUrl, [
      "",
      "198.18.0.1:9000",
      "ftp://198.18.0.1:9000",
      "https://198.18.0.1",
      "https://198.18.0.1:9000/path",
      "https://198.18.0.1:99999",
      "https://user@198.18.0.1:9000",
    ]],
  ] as const
) {
  Deno.test(`${name} refuses what could be mistaken for something else`, () => {
    for (const text of refused) {
      assert.throws(() => parse(text), RangeError, JSON.stringify(text));
    }
  });
}

Deno.test("parseLabels() accepts 16 labels of 1,024 bytes together, and no more", () => {
  const some = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));
  parseLabels(some(16));
  assert.throws(() => parseLabels(some(17)), {
    name: "RangeError",
    message: "there are 17 labels, and 16 are the most",
  });
  // Keys count one byte, "ä" two.
  const long = { a: "v".repeat(255), b: "v".repeat(255), c: "v".repeat(255) };
  parseLabels({ ...long, d: "ä".repeat(127) });
  assert.throws(() => parseLabels({ ...long, d: "ä".repeat(128) }), {
    name: "RangeError",
    message: "they have 1025 bytes together, and 1024 are the most",
  });
});
