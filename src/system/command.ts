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
