import { NetError } from "../../base/error.ts";
import type { Call } from "./call.ts";
import { type Flag, switchFlag } from "./flag.ts";
import { escapeText, formatJsonLine } from "./text.ts";

export const WATCH: Flag<boolean> = {
  ...switchFlag("watch", "print the answer again whenever it changes"),
  isTypedOnly: true,
};

/** Interval between two readings of what is watched, in ms. */
const WATCH_INTERVAL_MS = 2_000;
/** Moves to the top left, and clears the screen (ECMA-48). */
const CLEAR = "\x1b[H\x1b[2J";

/** An answer, ready to print again and again. */
export interface Screen {
  /** The object of `--json`. */
  readonly body: Readonly<Record<string, unknown>>;
  /** For people, with a newline at the end of each line. */
  readonly text: string;
  /** Lines for people beside the answer. */
  readonly notes: readonly string[];
}

/** Prints an answer whenever it changes: in place on a terminal, with `isJson` an object a line. */
export async function watchScreen(
  call: Call,
  isJson: boolean,
  read: () => Promise<Screen>,
): Promise<void> {
  const { io } = call;
  let printed: string | undefined;
  let problem: string | undefined;
  do {
    try {
      const { body, text, notes } = await read();
      const screen = isJson
        ? `${formatJsonLine(body)}\n`
        : text + notes.map((note) => `${escapeText(note)}\n`).join("");
      if (screen !== printed) {
        io.stdout(io.isOutputTerminal && !isJson ? CLEAR + screen : screen);
      }
      printed = screen;
      problem = undefined;
    } catch (error) {
      if (!(error instanceof NetError) || printed === undefined) throw error;
      // An agent that restarts answers again soon.
      if (error.message !== problem) {
        call.note(`Cannot ${call.action}, trying again: ${error.message}`);
      }
      problem = error.message;
    }
  } while (await io.wait(WATCH_INTERVAL_MS));
}
