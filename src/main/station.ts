import { BUILD } from "../build/build_info.ts";
import { dropPrograms } from "../build/permissions.ts";
import { runEchoProcess } from "../station/echo_process.ts";
import { ENVIRONMENT, executable, type Program, writeTo } from "./process.ts";

/** The command that runs this program as {@linkcode runStation} does. */
export function stationProgram({ main, dir }: Program): string[] {
  const own = BUILD.kind === "sources"
    ? [Deno.execPath(), "run", "--quiet", "-A"]
      .concat("--config", `${dir}/deno.json`, main)
    : [...unpackedThere(), executable()];
  return [...own, "station-process"];
}

/**
 * The words to put before a self-extracting program, so that it finds its
 * unpacked files in the same folder: the agent's programs get only PATH.
 */
function unpackedThere(): string[] {
  const folder = ENVIRONMENT.STELLAR_NET_UNPACK;
  return folder === undefined
    ? []
    : ["sh", "-c", 'export STELLAR_NET_UNPACK="$0"; exec "$@"', folder];
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
