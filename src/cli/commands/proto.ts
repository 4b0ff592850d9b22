import type { CommandSpec } from "../framework/call.ts";
import type { Operand } from "../framework/flag.ts";
import { parsePath } from "../framework/parsers.ts";
import { JSON_OUTPUT } from "../framework/target.ts";

const DIR: Operand<string> = {
  name: "DIR",
  description: "folder to write them into; it is created",
  completion: "directory",
  parse: parsePath,
};

export const PROTO: CommandSpec = {
  name: "proto",
  summary: "Write the API's proto files, to generate clients from",
  action: "write the proto files",
  operands: [DIR],
  flags: [JSON_OUTPUT],
  examples: ["stellar-net proto proto"],
  run: async (call) => {
    const dir = call.operand(DIR);
    const files = await call.io.writeProtos(dir);
    call.answer({ files }, files);
  },
};
