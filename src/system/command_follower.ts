import type { Command } from "./command.ts";

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
