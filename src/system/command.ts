import { NetError } from "../base/error.ts";

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

/** Options of following a program. */
export interface FollowOptions {
  /** Ends the program, and the sequence without an error. */
  readonly signal: AbortSignal;
}

/** Runs programs of the host that go on, in the C locale, and passes on what they say. */
export interface CommandFollower {
  /**
   * Starts a program and yields what it prints, to either stream, as it comes.
   * The sequence ends when the program does; one that is left ends the program.
   *
   * @throws {NetError} `unavailable` when it cannot be started
   */
  follow(
    command: Omit<Command, "stdin">,
    options: FollowOptions,
  ): AsyncIterable<string>;
}

/** What a finished program left. */
export interface CommandOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program to run. Arguments are passed as they are: no shell takes part. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** What it reads; by default nothing. */
  readonly stdin?: string;
}

/** Runs programs of the host, in the C locale. */
export interface CommandRunner {
  /**
   * Runs a program to its end, whatever its exit code.
   *
   * @throws {NetError} `unavailable` when it cannot be started or takes too long
   */
  run(command: Command): Promise<CommandOutput>;
}
