import { Code, ConnectError } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import {
  type ErrorCode,
  type ErrorDetails,
  type ErrorReason,
  NetError,
} from "../../base/error.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";

const log = getLogger(["stellar-net", "rpc"]);

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

/** The domain of every reason. */
export const ERROR_DOMAIN = "stellar-net";

/** The reason of errors that have no finer one. */
export const REASONS: Readonly<Record<ErrorCode, ErrorReason>> = {
  invalid_argument: "INVALID_FIELD",
  not_found: "NOT_FOUND",
  already_exists: "ALREADY_EXISTS",
  failed_precondition: "WRONG_STATE",
  exhausted: "EXHAUSTED",
  unavailable: "UNAVAILABLE",
  deadline_exceeded: "DEADLINE_EXCEEDED",
  cancelled: "CANCELLED",
  permission_denied: "NOT_ALLOWED",
  unauthenticated: "UNKNOWN_CALLER",
  internal: "INTERNAL",
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
  if (error instanceof ConnectError) return addDetails(error);
  if (error instanceof NetError) {
    if (error.code !== "internal") {
      const { code, message, details } = error;
      return addDetails(new ConnectError(message, RPC_CODES[code]), details);
    }
  } else if (error instanceof Error && error.name === "AbortError") {
    return addDetails(new ConnectError("the caller has gone", Code.Canceled));
  } else if (error instanceof Error && error.name === "TimeoutError") {
    return addDetails(
      new ConnectError("the time is up", Code.DeadlineExceeded),
    );
  }
  log.error("Cannot answer {call}: {error}", { call, error });
  return addDetails(new ConnectError(INTERNAL_MESSAGE, Code.Internal));
}

/**
 * Gives an error its `google.rpc.ErrorInfo`, and a `BadRequest` where a field is
 * at fault, unless it has details.
 */
export function addDetails(
  error: ConnectError,
  { reason, metadata = {} }: ErrorDetails = {},
): ConnectError {
  if (error.details.length > 0) return error;
  error.details.push({
    desc: ErrorInfoSchema,
    value: {
      reason: reason ?? REASON_OF_CODE[error.code] ??
        REASONS[ERROR_CODES[error.code]],
      domain: ERROR_DOMAIN,
      metadata: { ...metadata },
    },
  });
  const { field } = metadata;
  if (field !== undefined) {
    const description = error.rawMessage;
    error.details.push({
      desc: BadRequestSchema,
      value: { fieldViolations: [{ field, description }] },
    });
  }
  return error;
}

/** The reasons of codes that only the server itself sends. */
const REASON_OF_CODE: Partial<Readonly<Record<Code, ErrorReason>>> = {
  [Code.Unimplemented]: "UNKNOWN_CALL",
};

/** The error for what a client caught, with the details that the agent gave. */
export function fromConnectError(error: unknown): NetError {
  if (error instanceof NetError) return error;
  const caught = ConnectError.from(error);
  const [info] = caught.findDetails(ErrorInfoSchema);
  return new NetError(ERROR_CODES[caught.code], caught.rawMessage, {
    cause: error,
    ...info?.domain === ERROR_DOMAIN && {
      reason: info.reason as ErrorReason,
      metadata: info.metadata,
    },
  });
}
