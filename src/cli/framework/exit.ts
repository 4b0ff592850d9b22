/** Exit codes: done, refused or failed, wrong usage. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** A command line that can never be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  /** @param path the command as it is typed, such as `stellar-net ip list` */
  constructor(path: string, problem: string) {
    super(`Cannot run "${path}": ${problem}; see "${path} --help"`);
  }
}

/**
 * The exit code for an error. Only the command line itself is wrong usage: what
 * the agent refuses, an invalid argument included, is a refusal.
 */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}
