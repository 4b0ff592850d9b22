import { NetError } from "../../base/error.ts";

/** The running command, for error messages. */
export interface FailureContext {
  /** The verb phrase of the command, such as "list addresses". */
  readonly action: string;
  /** The agent it called: its socket, URL, or identity folder. */
  readonly agent: string;
}

/** Describes a failure in one line: "Cannot <do what>: <what is true now>". */
export function describeFailure(
  error: unknown,
  context: FailureContext,
): string {
  const { action, agent } = context;
  if (error instanceof UsageError) return error.message;
  if (!(error instanceof NetError)) {
    const text = error instanceof Error ? error.message : String(error);
    return `Cannot ${action}: unexpected error: ${withoutFlag(text)}`;
  }
  if (error.code === "deadline_exceeded") {
    return `Cannot ${action}: the agent at "${agent}" did not answer in time; ` +
      "--timeout sets how long to wait";
  }
  return error.message.startsWith("Cannot ")
    ? error.message
    : `Cannot ${action}: ${error.message}`;
}

/** The runtime's error for a missing permission advises a flag that users of this program cannot give. */
function withoutFlag(text: string): string {
  return text.replace(
    /^Requires (\w+ access.*?)(?: *[,;.] *run again with .*)?$/s,
    "this program does not have $1",
  );
}

/** Exit codes: done, refused or failed, wrong usage. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** An invalid command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  /** @param path the command as it is typed, such as `stellar-net ip list` */
  constructor(path: string, problem: string) {
    super(`Cannot run "${path}": ${problem}; see "${path} --help"`);
  }
}

/**
 * The exit code for an error. Only an invalid command line is wrong usage; an
 * argument that the agent refuses is a refusal.
 */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? EXIT.usage : EXIT.failed;
}
