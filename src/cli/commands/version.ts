import type { BuildInfo } from "../../build/build_info.ts";
import { JSON_OUTPUT } from "../framework/target.ts";
import type { CommandSpec } from "../framework/call.ts";

const KINDS: Readonly<Record<BuildInfo["kind"], string>> = {
  sources: "from sources",
  compiled: "compiled",
  "self-extracting": "self-extracting",
};

export const VERSION: CommandSpec = {
  name: "version",
  summary: "Print the version of this program, and how it was built",
  action: "print the version",
  flags: [JSON_OUTPUT],
  examples: ["stellar-net version"],
  run: async (call) => {
    const { version, runtime } = call.io;
    const build = await call.io.build();
    const { deno, v8, typescript } = runtime;
    call.answer({ version, build, runtime }, [
      `stellar-net ${version}`,
      `build: ${formatBuild(build)}`,
      `commit: ${formatCommit(build)}`,
      `runtime: Deno ${deno}, V8 ${v8}, TypeScript ${typescript}`,
    ]);
  },
};

function formatBuild({ kind, target }: BuildInfo): string {
  return KINDS[kind] + (target === null ? "" : `, for ${target}`);
}

function formatCommit({ commit, modified }: BuildInfo): string {
  return (commit ?? "unknown") + (modified ? ", with changes" : "");
}
