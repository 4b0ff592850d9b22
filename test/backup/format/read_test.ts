import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type BackupEntry,
  writeBackup,
} from "../../../src/backup/format/format.ts";
import {
  type BackupPart,
  readBackup,
} from "../../../src/backup/format/read.ts";
import { NetError } from "../../../src/base/error.ts";
import type { JsonValue } from "../../../src/store/store.ts";

const HEADER = {
  schema: 2,
  program: "1.2.3",
  cluster: "c1",
  node: "node1",
  instance: "i1",
  takenAt: "2026-01-02T03:04:05.000Z",
};
const ENTRIES: readonly BackupEntry[] = [
  { key: ["agent", "instance"], value: "i1" },
  { key: ["history", "time", 17, 0, "a.b", "::1"], value: { reason: "ä\n" } },
];

async function* from<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values;
}

async function write(entries: readonly BackupEntry[]): Promise<string> {
  const pieces = await Array.fromAsync(writeBackup(HEADER, from(entries)));
  return await new Blob(pieces).text();
}

function read(
  text: string | Uint8Array,
  pieceBytes = 7,
): Promise<BackupPart[]> {
  const bytes = typeof text === "string"
    ? new TextEncoder().encode(text)
    : text;
  const count = Math.ceil(bytes.length / pieceBytes);
  const pieces = Array.from(
    { length: count },
    (_, i) => bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes),
  );
  return Array.fromAsync(readBackup(from(pieces)));
}

/** Why a backup is refused. */
async function refused(text: string | Uint8Array): Promise<string> {
  const error = await read(text).then(() => undefined, (error) => error);
  assert.ok(error instanceof NetError, `${error}`);
  assert.equal(error.code, "failed_precondition");
  return error.message;
}

Deno.test("readBackup() gives what writeBackup() was given, in whatever pieces it comes", async () => {
  const key = fc.array(
    fc.oneof(fc.string({ minLength: 1, unit: "grapheme" }), fc.nat()),
    { minLength: 1, maxLength: 4 },
  );
  const value = fc.jsonValue().filter((v) => v !== null) as fc.Arbitrary<
    Exclude<JsonValue, null>
  >;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ key, value }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 300 }),
      async (entries, pieceBytes) => {
        const [header, ...parts] = await read(await write(entries), pieceBytes);
        assert.deepEqual(header, {
          kind: "header",
          header: { stellarNetBackup: 1, ...HEADER },
        });
        const got = parts.map((part) => part.kind === "entry" && part.entry);
        // As JSON has it: -0 is 0.
        assert.deepEqual(got, JSON.parse(JSON.stringify(entries)));
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("writeBackup() writes JSON lines: a header, the entries, their number and a checksum", async () => {
  const lines = (await write(ENTRIES)).split("\n");
  assert.deepEqual(lines.slice(0, 3), [
    '{"stellarNetBackup":1,"schema":2,"program":"1.2.3","cluster":"c1","node":"node1","instance":"i1","takenAt":"2026-01-02T03:04:05.000Z"}',
    '{"key":["agent","instance"],"value":"i1"}',
    '{"key":["history","time",17,0,"a.b","::1"],"value":{"reason":"ä\\n"}}',
  ]);
  const above = new TextEncoder().encode(lines.slice(0, 3).join("\n") + "\n");
  const digest = await crypto.subtle.digest("SHA-256", above);
  const sha256 = new Uint8Array(digest).toHex();
  assert.deepEqual(lines.slice(3), [`{"entries":2,"sha256":"${sha256}"}`, ""]);
});

Deno.test("readBackup() refuses what is no whole backup, saying why", async (t) => {
  const whole = await write(ENTRIES);
  const lines = whole.split("\n");
  const without = (i: number) => lines.toSpliced(i, 1).join("\n");
  const rows: readonly [name: string, text: string, says: string][] = [
    ["nothing", "", "it is empty"],
    ["no backup", "hello\n", "not that of a backup"],
    ["another format", whole.replace('Backup":1', 'Backup":2'), "version 2"],
    ["a damaged header", whole.replace('"schema":2,', ""), "first line is dam"],
    ["no last line", without(3), "it is cut short"],
    ["a part of the last line", whole.slice(0, -2), "it is cut short"],
    ["an entry too few", without(1), "should have 2 entries, and has 1"],
    ["no entries at all", without(1).replace(/\n.*history.*/, ""), "has 0"],
    ["a changed entry", whole.replace('":"i1"}\n{"k', '":"i2"}\n{"k'), "check"],
    ["a changed header", whole.replace("node1", "node2"), "its checksum"],
    ["a changed checksum", whole.replace(/"\}\n$/, '0"}\n'), "its checksum"],
    ["swapped lines", [0, 2, 1, 3, 4].map((i) => lines[i]).join("\n"), "check"],
    ["a line that is no entry", whole.replace('{"key"', '{"kee"'), "line 2 is"],
    ["something behind", whole + "{}\n", "something follows"],
    ["a part of a line behind", whole + "x", "something follows"],
    ["no line at all", "x".repeat(2 << 20), "has no end"],
  ];
  for (const [name, text, says] of rows) {
    await t.step(name, async () => {
      const message = await refused(text);
      assert.match(message, /^Cannot read the backup: /);
      assert.ok(message.includes(says), message);
    });
  }
  await t.step("every prefix of one", async () => {
    for (let end = 0; end < whole.length; end++) {
      assert.match(await refused(whole.slice(0, end)), /empty|cut short/);
    }
  });
  await t.step("every byte of one changed", async () => {
    const bytes = new TextEncoder().encode(whole);
    for (const index of bytes.keys()) {
      const changed = bytes.slice();
      changed[index]! ^= 1;
      await refused(changed);
    }
  });
});
