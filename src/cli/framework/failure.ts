import { NetError } from "../../base/error.ts";
import { UsageError } from "./exit.ts";

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
