import type { CommandSpec, Operand } from "./spec.ts";

const COMMAND: Operand<string> = {
  name: "COMMAND...",
  description: "command, or noun and verb",
  optional: true,
  parse: (text) => text,
};

/** Makes the command that shows the help of others; `show` finds and prints it. */
export function createHelp(
  show: (words: readonly string[]) => void,
): CommandSpec {
  return {
    name: "help",
    summary: "Show the help of a command",
    action: "show the help",
    operands: [COMMAND],
    examples: ["stellar-net help", "stellar-net help ip allocate"],
    run: (call) => show(call.words),
  };
}
