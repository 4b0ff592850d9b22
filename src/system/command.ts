import { NetError } from "../base/error.ts";

/** A program to run. Arguments are passed as they are: no shell takes part. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Its standard input; default none. */
  readonly stdin?: string;
}

/** The result of a program that has ended. */
export interface CommandOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Its process id, where the runner knows it. */
  readonly pid?: number;
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

/** Options of following a program. */
export interface FollowOptions {
  /** Ends the program, and the sequence without an error. */
  readonly signal: AbortSignal;
}

/** Runs programs of the host that do not end by themselves, in the C locale. */
export interface CommandFollower {
  /**
   * Starts a program and yields each line that it prints, to either stream,
   * without its newline. The sequence ends when the program does; leaving the
   * sequence ends the program.
   *
   * @throws {NetError} `unavailable` when it cannot be started
   */
  follow(
    command: Omit<Command, "stdin">,
    options: FollowOptions,
  ): AsyncIterable<string>;
}

/**
 * Runs a program that reads something of this host's network, and returns its
 * standard output.
 *
 * @throws {NetError} `unavailable` when it is missing or fails
 */
export async function readOutput(
  runner: CommandRunner,
  command: Command,
): Promise<string> {
  const output = await runner.run(command);
  if (output.code === 0) return output.stdout;
  throw unreadableNetwork(describeFailure(command, output));
}

/** The error for a part of this host's network that cannot be read. */
export function unreadableNetwork(
  reason: string,
  options?: ErrorOptions,
): NetError {
  const message = `Cannot read this host's network: ${reason}`;
  return new NetError("unavailable", message, options);
}

/** Names the command that failed, with the first line of its error output. */
export function describeFailure(
  { program, args }: Command,
  { code, stderr }: CommandOutput,
): string {
  const reason = stderr.trim().split("\n")[0] || `exit code ${code}`;
  return `"${[program, ...args].join(" ")}" failed: ${reason}`;
}
