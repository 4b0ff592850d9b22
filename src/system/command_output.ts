import { NetError } from "../base/error.ts";
import type { Command, CommandOutput, CommandRunner } from "./command.ts";

/**
 * Runs a program that reads something of this host's network, and returns what
 * it printed.
 *
 * @throws {NetError} `unavailable` when it is missing or fails
 */
export async function readOutput(
  runner: CommandRunner,
  command: Command,
): Promise<string> {
  const output = await runner.run(command);
  if (output.code === 0) return output.stdout;
  throw new NetError(
    "unavailable",
    `Cannot read this host's network: ${describeFailure(command, output)}`,
  );
}

/** Says which command failed, and why in its own words. */
export function describeFailure(
  { program, args }: Command,
  { code, stderr }: CommandOutput,
): string {
  const reason = stderr.trim().split("\n")[0] || `exit code ${code}`;
  return `"${[program, ...args].join(" ")}" failed: ${reason}`;
}
