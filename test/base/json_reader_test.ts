import assert from "node:assert/strict";
import { JsonReader, readRecord } from "../../src/base/json_reader.ts";

const FIELDS = {
  name: "n",
  empty: null,
  count: 3,
  flag: false,
  inner: { list: [{ name: "a" }, { name: 7 }], texts: ["x", 1], none: [] },
};

function reader(): JsonReader {
  return new JsonReader(FIELDS, {
    invalid: (path, why) => new RangeError(`${path}: ${why}`),
    show: String,
  });
}

Deno.test("JsonReader reads each field by its type, and null as missing", () => {
  const read = reader();
  assert.equal(read.text("name"), "n");
  assert.equal(read.optionalText("empty"), undefined);
  assert.equal(read.optionalText("constructor"), undefined);
  assert.equal(read.count("count"), 3);
  assert.equal(read.optionalFlag("flag"), false);
  assert.equal(read.optionalObject("other"), undefined);
  const inner = read.object("inner");
  assert.deepEqual(inner.optionalObjects("none"), []);
  assert.deepEqual(inner.optionalTexts("missing"), undefined);
  assert.deepEqual(inner.list("texts", (value) => value), ["x", 1]);
});

Deno.test("JsonReader names the path of a field that is not valid", async (t) => {
  const rows: readonly [string, (read: JsonReader) => unknown, string][] = [
    ["missing", (r) => r.text("other"), "other: it is missing"],
    ["no string", (r) => r.text("count"), "count: 3 is not a string"],
    ["parsed", (r) => r.text("name", refuse), "name: it is wrong"],
    [
      "too low",
      (r) => r.count("count", 4),
      "count: 3 is not a whole number from 4 on",
    ],
    ["no flag", (r) => r.optionalFlag("name"), "name: n is not true or false"],
    ["no list", (r) => r.optionalTexts("name"), "name: n is not a list"],
    [
      "a field in a list",
      (r) =>
        r.object("inner").optionalObjects("list")!.map((i) => i.text("name")),
      "inner.list[1].name: 7 is not a string",
    ],
    [
      "an item",
      (r) => r.object("inner").optionalTexts("texts"),
      "inner.texts[1]: 1 is not a string",
    ],
    [
      "a field that nobody asked for",
      (r) => (r.text("name"), r.end()),
      "empty: it is not known to this version",
    ],
  ];
  for (const [name, use, message] of rows) {
    await t.step(name, () => {
      assert.throws(() => use(reader()), { name: "RangeError", message });
    });
  }
});

Deno.test("readRecord() quotes no value", () => {
  const record = readRecord("token", { key: 12 });
  const message = 'The token is not valid: field "key": it is not a string';
  assert.throws(() => record.text("key"), { message });
  assert.throws(() => readRecord("token", []), /The token is not valid/);
});

function refuse(): never {
  throw new RangeError("it is wrong");
}
