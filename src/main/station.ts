import { BUILD } from "../build/build_info.ts";
import { dropPrograms } from "../build/permissions.ts";
import { runEchoProcess } from "../station/echo_process.ts";
import { executable, type Program, writeTo } from "./process.ts";

/** The command that runs this program as {@linkcode runStation} does. */
export function stationProgram({ main, dir }: Program): string[] {
  const own = BUILD.kind === "sources"
    ? [Deno.execPath(), "run", "--quiet", "-A"]
      .concat("--config", `${dir}/deno.json`, main)
    : [executable()];
  return [...own, "station-process"];
}

/** Serves the network namespace of a test until the agent ends it. @returns the exit code */
export async function runStation(): Promise<number> {
  if (BUILD.kind !== "sources") await dropPrograms();
  await runEchoProcess({
    input: Deno.stdin.readable,
    write: writeTo(Deno.stdout, () => Deno.exit(0)),
  });
  return 0;
}
