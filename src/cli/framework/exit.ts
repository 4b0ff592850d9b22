import { NetError } from "../../base/error.ts";

/** What was under way when an error came. */
export interface FailureContext {
  /** What the command does, such as "list addresses". */
  readonly action: string;
  /** The agent that was called: its socket, its URL, or the folder of the identity. */
  readonly agent: string;
}

/** Says in one line what failed: "Cannot <do what>: <what is true now>". */
export function describeFailure(
  error: unknown,
  context: FailureContext,
): string {
  const { action, agent } = context;
  if (error instanceof UsageError) return error.message;
  if (!(error instanceof NetError)) {
    const text = error instanceof Error ? error.message : String(error);
    return `Cannot ${action}: unexpected error: ${text}`;
  }
  if (error.code === "deadline_exceeded") {
    return `Cannot ${action}: the agent at "${agent}" did not answer in time; ` +
      "--timeout sets how long to wait";
  }
  return error.message.startsWith("Cannot ")
    ? error.message
    : `Cannot ${action}: ${error.message}`;
}

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
