import assert from "node:assert/strict";
import { formatColumns, formatTable } from "../../../src/cli/framework/text.ts";
import {
  escapeText,
  formatAge,
  formatJson,
  formatUtc,
} from "../../../src/cli/framework/text.ts";

const AT = "2026-01-02T03:04:05.678Z";
const AT_MS = Date.parse(AT);

Deno.test("escapeText() escapes everything that a terminal interprets", async (t) => {
  const rows: readonly [name: string, text: string, escaped: string][] = [
    ["escape sequence", "a\x1b[31mb", "a\\u001b[31mb"],
    ["C1 control", "\x9b2J", "\\u009b2J"],
    ["delete", "\x7f", "\\u007f"],
    ["line breaks", "a\r\nb", "a\\u000d\\u000ab"],
    ["Unicode line break", "a\u2028b", "a\\u2028b"],
    ["right to left override", "a\u202eb", "a\\u202eb"],
    ["isolate", "\u2066x\u2069", "\\u2066x\\u2069"],
    ["ordinary text", 'é 世界 "q" \\ 👍', 'é 世界 "q" \\ 👍'],
  ];
  for (const [name, text, escaped] of rows) {
    await t.step(name, () => assert.equal(escapeText(text), escaped));
  }
});

Deno.test("formatJson() gives one object with the schema's version, safe for a terminal", () => {
  const body = { text: "a\x1b\n\x9b\u202e" };
  const text = formatJson(body);
  assert.equal(
    text,
    `{\n  "schemaVersion": 1,\n  "text": "a\\u001b\\n\\u009b\\u202e"\n}`,
  );
  assert.deepEqual(JSON.parse(text), { schemaVersion: 1, ...body });
});

Deno.test("formatUtc() and formatAge() give times for people", async (t) => {
  assert.equal(formatUtc(AT), "2026-01-02 03:04:05Z");
  assert.equal(formatUtc(null), "-");
  assert.equal(formatAge(null, AT_MS), "-");
  const rows: readonly [ms: number, age: string][] = [
    [-5_000, "just now"],
    [999, "just now"],
    [1_000, "1s ago"],
    [59_999, "59s ago"],
    [180_000, "3m ago"],
    [3_600_000, "1h ago"],
    [86_399_999, "23h ago"],
    [30 * 86_400_000, "30d ago"],
  ];
  for (const [ms, age] of rows) {
    await t.step(age, () => assert.equal(formatAge(AT, AT_MS + ms), age));
  }
});

Deno.test("formatTable() aligns cells, fills empty ones and escapes all", () => {
  const lines = formatTable(["A", "LONG"], [["abc", ""], ["", "x\ny"]]);
  assert.deepEqual(lines, ["A    LONG", "abc  -", "-    x\\u000ay"]);
});

Deno.test("formatColumns() leaves empty cells empty", () => {
  assert.deepEqual(formatColumns([["Key", "a"], ["", "b"]]), [
    "Key  a",
    "     b",
  ]);
});
