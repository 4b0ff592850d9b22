import assert from "node:assert/strict";
import { getLogger, reset } from "@logtape/logtape";
import { configureLogging, LogRing } from "../../src/system/logging.ts";

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

/** Logs one warning as JSON and returns the parsed line. */
async function logAsJson(
  template: string,
  values: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const lines: string[] = [];
  try {
    await configureLogging({
      format: "json",
      level: "info",
      write: (line) => lines.push(line),
    });
    getLogger(["stellar-net", "agent", "join"]).warn(template, values);
  } finally {
    await reset();
  }
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0]!);
}

Deno.test("configureLogging() fills the values into a JSON message, and keeps them beside it", async () => {
  const error = new Error("connection refused", { cause: new Error("reset") });
  const template = "Cannot follow the registry at {url} ({tries}): {error}";
  const record = await logAsJson(template, {
    url: "https://198.18.0.11:9000",
    tries: 2,
    error,
  });
  assert.equal(
    record.message,
    "Cannot follow the registry at https://198.18.0.11:9000 (2): " +
      "connection refused: reset",
  );
  assert.equal(record.template, template);
  assert.equal(record.level, "WARN");
  assert.equal(record.logger, "stellar-net.agent.join");
  assert.equal(record.url, "https://198.18.0.11:9000");
  assert.equal(record.tries, 2);
  assert.equal((record.error as Error).message, "connection refused");
});

Deno.test("configureLogging() lets no value replace a field that each JSON line has", async () => {
  const hostile = {
    "@timestamp": "never",
    level: "DEBUG",
    message: "all is well",
    template: "none",
    logger: "other",
    node: "host1",
  };
  const record = await logAsJson("Removed {node}", hostile);
  for (const [name, value] of Object.entries(hostile)) {
    if (name !== "node") assert.notEqual(record[name], value, name);
  }
  assert.equal(record.message, "Removed host1");
  assert.equal(record.node, "host1");
});

const LIMITS = { maxLines: 3, maxChars: 12, maxLineChars: 5 };

Deno.test("LogRing keeps the last lines, within its limits", async (t) => {
  const rows: readonly [
    name: string,
    added: readonly string[],
    kept: readonly string[],
  ][] = [
    ["nothing", [], []],
    ["a few", ["a\n", "b\n"], ["a", "b"]],
    ["too many", ["a", "b", "c", "d", "e"], ["c", "d", "e"]],
    ["one too long", ["abcdefgh\n"], ["abcde"]],
    ["too much", ["aaaaa", "bbbbb", "ccccc"], ["bbbbb", "ccccc"]],
  ];
  for (const [name, added, kept] of rows) {
    await t.step(name, () => {
      const ring = new LogRing(LIMITS);
      added.forEach((line) => ring.add(line));
      assert.deepEqual(ring.lines, kept);
    });
  }
});

Deno.test("LogRing fits an answer of the API, however much is logged", () => {
  const ring = new LogRing();
  for (let i = 0; i < 10_000; i++) ring.add("x".repeat(10_000));
  const chars = ring.lines.reduce((sum, line) => sum + line.length, 0);
  assert.ok(chars <= 512 * 1024, `${chars}`);
  assert.ok(chars > 500 * 1024, `${chars}`);
});
