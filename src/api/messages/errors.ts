import { Code, ConnectError } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import { type ErrorCode, NetError } from "../../base/error.ts";

const log = getLogger(["stellar-net", "rpc"]);

/** The RPC code of each error code. */
export const RPC_CODES: Readonly<Record<ErrorCode, Code>> = {
  invalid_argument: Code.InvalidArgument,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  failed_precondition: Code.FailedPrecondition,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  deadline_exceeded: Code.DeadlineExceeded,
  cancelled: Code.Canceled,
  permission_denied: Code.PermissionDenied,
  unauthenticated: Code.Unauthenticated,
  internal: Code.Internal,
};

/** The error code of each RPC code. Codes that the agent never sends map to the nearest one. */
export const ERROR_CODES: Readonly<Record<Code, ErrorCode>> = {
  [Code.InvalidArgument]: "invalid_argument",
  [Code.OutOfRange]: "invalid_argument",
  [Code.NotFound]: "not_found",
  [Code.AlreadyExists]: "already_exists",
  [Code.FailedPrecondition]: "failed_precondition",
  [Code.Unimplemented]: "failed_precondition",
  [Code.ResourceExhausted]: "exhausted",
  [Code.Unavailable]: "unavailable",
  [Code.Aborted]: "unavailable",
  [Code.DeadlineExceeded]: "deadline_exceeded",
  [Code.Canceled]: "cancelled",
  [Code.PermissionDenied]: "permission_denied",
  [Code.Unauthenticated]: "unauthenticated",
  [Code.Internal]: "internal",
  [Code.Unknown]: "internal",
  [Code.DataLoss]: "internal",
};

/** The message of a defect, for clients. */
export const INTERNAL_MESSAGE = "internal error; the agent's log has the cause";

/**
 * The error to send for what a handler has thrown.
 * A NetError gives its code and message. An unknown error is a defect: the log
 * has it, with the call's name, and the client gets none of it.
 */
export function toConnectError(error: unknown, call = "a call"): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof NetError) {
    if (error.code !== "internal") {
      return new ConnectError(error.message, RPC_CODES[error.code]);
    }
  } else if (error instanceof Error && error.name === "AbortError") {
    return new ConnectError("the caller has gone", Code.Canceled);
  } else if (error instanceof Error && error.name === "TimeoutError") {
    return new ConnectError("the time is up", Code.DeadlineExceeded);
  }
  log.error("Cannot answer {call}: {error}", { call, error });
  return new ConnectError(INTERNAL_MESSAGE, Code.Internal);
}

/** The error for what a client caught. */
export function fromConnectError(error: unknown): NetError {
  if (error instanceof NetError) return error;
  const { code, rawMessage } = ConnectError.from(error);
  return new NetError(ERROR_CODES[code], rawMessage, { cause: error });
}
