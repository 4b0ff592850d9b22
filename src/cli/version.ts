import { JSON_OUTPUT } from "./client.ts";
import type { CommandSpec } from "./spec.ts";

export const VERSION: CommandSpec = {
  name: "version",
  summary: "Print the version of this program",
  action: "print the version",
  flags: [JSON_OUTPUT],
  examples: ["stellar-net version"],
  run: (call) => {
    const { version } = call.io;
    call.answer({ version }, [`stellar-net ${version}`]);
  },
};
