import {
  configure,
  getJsonLinesFormatter,
  getTextFormatter,
  type LogLevel,
  type LogRecord,
} from "@logtape/logtape";

/** The format and the level of the log. */
export interface LoggingOptions {
  /** `text` is for people, `json` for programs: an object a line. */
  readonly format: "text" | "json";
  /** The least severe level that is written. */
  readonly level: Extract<LogLevel, "debug" | "info" | "warning" | "error">;
  /** Takes a whole line, newline included. */
  readonly write: (line: string) => void;
  /** Keeps the last lines. Default: nothing does. */
  readonly ring?: LogRing;
}

/** Fields that each line of JSON has: a value of the same name does not replace them. */
const FIXED_FIELDS = ["@timestamp", "level", "message", "template", "logger"];

/** Sets up the process's log. */
export async function configureLogging(options: LoggingOptions): Promise<void> {
  const format = options.format === "json"
    ? createJsonFormatter()
    : getTextFormatter({
      timestamp: "rfc3339",
      level: "FULL",
      category: ".",
      value: (value) => escapeControls(inspect(value)),
    });
  const { ring, write } = options;
  const log = (record: LogRecord) => {
    const line = format(record);
    ring?.add(line);
    write(line);
  };
  await configure({
    sinks: { log },
    loggers: [
      {
        category: ["stellar-net"],
        lowestLevel: options.level,
        sinks: ["log"],
      },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["log"] },
    ],
  });
}

/**
 * Formats a record as one JSON object: the message with its values filled in,
 * for people; the template that records of one kind share, and the values
 * under their own names, for programs.
 */
function createJsonFormatter(): (record: LogRecord) => string {
  const format = getJsonLinesFormatter({
    categorySeparator: ".",
    message: "rendered",
    properties: "flatten",
  });
  return (record) => {
    const message = record.message
      // Texts of the template and values take turns.
      .map((part, i) => i % 2 === 0 ? String(part) : inspect(part)).join("");
    const values = Object.entries(record.properties)
      .filter(([name]) => !FIXED_FIELDS.includes(name));
    const template = typeof record.rawMessage === "string"
      ? record.rawMessage
      : record.rawMessage.join("{}");
    const line = format({
      ...record,
      message: [message],
      properties: { ...Object.fromEntries(values), template },
    });
    // Only what is inside JSON's strings may be escaped.
    return escapeInJson(line);
  };
}

function inspect(value: unknown): string {
  if (value instanceof Error) {
    const cause = value.cause === undefined ? "" : `: ${inspect(value.cause)}`;
    return `${value.message}${cause}`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Nothing that a client sent may move a terminal's cursor or turn text round. */
function escapeControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, escapeUnit);
}

/** JSON itself escapes the controls below U+0020. */
function escapeInJson(line: string): string {
  return line.replaceAll(
    /[\x7f-\x9f\p{Bidi_Control}\u2028\u2029]/gu,
    escapeUnit,
  );
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The limits of a ring. */
export interface LogRingLimits {
  readonly maxLines: number;
  /** Characters of all lines together. */
  readonly maxChars: number;
  /** Characters of one line: a longer one is cut. */
  readonly maxLineChars: number;
}

/** The last lines of a log. It never grows beyond its limits. */
export class LogRing {
  readonly #limits: LogRingLimits;
  readonly #lines: string[] = [];
  #chars = 0;

  constructor(
    limits: LogRingLimits = {
      maxLines: 2_000,
      maxChars: 512 * 1024,
      maxLineChars: 4_096,
    },
  ) {
    this.#limits = limits;
  }

  /** The lines, the oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Adds a line, with or without its newline. */
  add(text: string): void {
    const { maxLines, maxChars, maxLineChars } = this.#limits;
    // A copy: a part of a long text would keep all of it.
    const line = structuredClone(text.trimEnd().slice(0, maxLineChars));
    this.#lines.push(line);
    this.#chars += line.length;
    while (this.#lines.length > maxLines || this.#chars > maxChars) {
      this.#chars -= this.#lines.shift()!.length;
    }
  }
}
