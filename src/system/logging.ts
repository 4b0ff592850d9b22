import {
  configure,
  getJsonLinesFormatter,
  getTextFormatter,
  type LogLevel,
  type LogRecord,
} from "@logtape/logtape";

/** How to log. */
export interface LoggingOptions {
  /** `text` is for people, `json` for programs: an object a line. */
  readonly format: "text" | "json";
  /** The least severe level that is written. */
  readonly level: Extract<LogLevel, "debug" | "info" | "warning" | "error">;
  /** Takes a whole line, newline included. */
  readonly write: (line: string) => void;
}

/** Sets up the process's log. */
export async function configureLogging(options: LoggingOptions): Promise<void> {
  const format = options.format === "json"
    ? getJsonLinesFormatter({
      categorySeparator: ".",
      message: "template",
      properties: "flatten",
    })
    : getTextFormatter({
      timestamp: "rfc3339",
      level: "FULL",
      category: ".",
      value: (value) => escapeControls(inspect(value)),
    });
  // What is in JSON's texts only stays JSON when it is escaped.
  const write = (record: LogRecord) => {
    const line = format(record);
    options.write(options.format === "json" ? escapeInJson(line) : line);
  };
  await configure({
    sinks: { log: write },
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
