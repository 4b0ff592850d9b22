import assert from "node:assert/strict";
import { decodeObject, describe } from "../../../src/cni/text/json.ts";
import { assertRefuses } from "./refusals.ts";

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("decodeObject() refuses what is no JSON object in UTF-8", async (t) => {
  const rows: readonly [name: string, bytes: Uint8Array, message: string][] = [
    ["nothing", encode(""), "it is empty"],
    ["white space", encode("  \n"), "it is not JSON"],
    ["text", encode("hello"), "it is not JSON"],
    ["half an object", encode('{"name": "a"'), "it is not JSON"],
    ["two objects", encode("{}{}"), "it is not JSON"],
    ["a comment", encode("{} // x"), "it is not JSON"],
    ["a byte order mark", encode("\ufeff{}"), "it is not JSON"],
    ["control characters", encode('{"\x1b[31m"'), "it is not JSON"],
    ["bytes of no text", Uint8Array.of(0x7b, 0xff, 0x7d), "it is not UTF-8"],
    ["a list", encode("[]"), "it is a list, not an object"],
    ["null", encode("null"), "it is null, not an object"],
    ["a number", encode("1"), "it is 1, not an object"],
    ["a text", encode('"a"'), 'it is "a", not an object'],
    ["a megabyte of brackets", encode("[".repeat(1e6)), "it is not JSON"],
    [
      "a million lists",
      encode("[".repeat(1e6) + "]".repeat(1e6)),
      "it is a list, not an object",
    ],
  ];
  for (const [name, bytes, message] of rows) {
    await t.step(name, () => {
      assertRefuses(
        () => decodeObject(bytes, "the configuration"),
        "decoding_failure",
        `Cannot decode the configuration: ${message}`,
      );
    });
  }
});

Deno.test("decodeObject() takes an object of megabytes", () => {
  const text = "x".repeat(3_000_000);
  assert.equal(
    decodeObject(encode(JSON.stringify({ text })), "it").text,
    text,
  );
});

Deno.test("describe() is short, on one line and safe on a terminal", async (t) => {
  const rows: readonly [value: unknown, text: string][] = [
    ["a", '"a"'],
    ["a\n\x1b\x9b\x7f", '"a\\n\\u001b\\u009b\\u007f"'],
    ["a\u202eb\u2028c", '"a\\u202eb\\u2028c"'],
    ["x".repeat(1e6), `"${"x".repeat(77)}..."`],
    [12, "12"],
    [true, "true"],
    [null, "null"],
    [[1], "a list"],
    [{ a: 1 }, "an object"],
  ];
  for (const [value, text] of rows) {
    await t.step(text.slice(0, 20), () => assert.equal(describe(value), text));
  }
});
