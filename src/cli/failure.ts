import { ConnectError } from "@connectrpc/connect";
import { NetError } from "../error.ts";
import { fromConnectError } from "../rpc/errors.ts";
import { UsageError } from "./exit.ts";

/** What was under way when an error came. */
export interface FailureContext {
  /** What the command does, such as "list addresses". */
  readonly action: string;
  /** The socket that was called. */
  readonly socketPath: string;
}

const START =
  'start it with "stellar-net agent" (from source: "deno task start"), ' +
  "or name its socket with --socket";

/** What keeps a client from reaching an agent, by code of connect(2). */
const UNREACHABLE: Readonly<Record<string, string>> = {
  ENOENT: `there is no such socket, so it is not running: ${START}`,
  ECONNREFUSED: `nothing listens there, so it is not running: ${START}`,
  EACCES: "permission denied: run this as the agent's user, usually root",
  EPERM: "permission denied: run this as the agent's user, usually root",
  ENOTSOCK: "this is no socket: name the agent's with --socket",
  ENOTDIR: `there is no such socket, so it is not running: ${START}`,
};

/** Says in one line what failed: "Cannot <do what>: <what is true now>". */
export function describeFailure(
  error: unknown,
  context: FailureContext,
): string {
  if (error instanceof UsageError) return error.message;
  const { action, socketPath } = context;
  if (error instanceof ConnectError) {
    const why = unreachable(error);
    if (why !== undefined) {
      return `Cannot reach the agent at "${socketPath}": ${why}`;
    }
    const known = fromConnectError(error);
    return known.code === "deadline_exceeded"
      ? `Cannot ${action}: the agent at "${socketPath}" did not answer in time; ` +
        "--timeout sets how long to wait"
      : withAction(known.message, action);
  }
  if (error instanceof NetError) return withAction(error.message, action);
  const text = error instanceof Error ? error.message : String(error);
  return withAction(`unexpected error: ${text}`, action);
}

function withAction(message: string, action: string): string {
  return message.startsWith("Cannot ")
    ? message
    : `Cannot ${action}: ${message}`;
}

/** Why nothing was reached, found in the causes of an error. */
function unreachable(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const why = UNREACHABLE[String((cause as { code?: unknown }).code)];
    if (why !== undefined) return why;
  }
  return undefined;
}
