import assert from "node:assert/strict";
import { getLogger, reset } from "@logtape/logtape";
import { configureLogging } from "../../src/system/logging.ts";

/** Moves a cursor, is an escape of one character, turns text round, ends a line. */
const HOSTILE = "a\x1b[2Jb\x9b2Jc\u202ed\u2028e\nf";

for (const format of ["text", "json"] as const) {
  Deno.test(`configureLogging() writes nothing as ${format} that a terminal acts on`, async () => {
    const lines: string[] = [];
    try {
      await configureLogging({
        format,
        level: "info",
        write: (line) => lines.push(line),
      });
      const log = getLogger(["stellar-net", "test"]);
      log.warn("Cannot do it: {error}", { error: new Error(HOSTILE) });
      log.warn("Cannot reach {node}", { node: HOSTILE });
    } finally {
      await reset();
    }
    assert.equal(lines.length, 2);
    for (const line of lines) {
      assert.match(
        line,
        /a\\u001b\[2Jb\\u009b2Jc\\u202ed\\u2028e\\(?:u000a|n)f/,
      );
      assert.doesNotMatch(
        line.slice(0, -1),
        /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u,
      );
      assert.ok(line.endsWith("\n"));
    }
  });
}
