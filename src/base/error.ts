/**
 * What kind of condition an error is. Each edge has a table from these to its
 * own codes: RPC, CNI, exit code.
 *
 * - `invalid_argument`: the input can never be right
 * - `not_found`, `already_exists`: what is named is missing or in the way
 * - `failed_precondition`: right in another state, and trying again does not help
 * - `exhausted`: no subnet or address is left, or a client has used its share
 * - `unavailable`: a store, peer or agent is out of reach; try again
 * - `deadline_exceeded`, `cancelled`: the caller has stopped waiting
 * - `permission_denied`: the caller may not; `unauthenticated`: it is unknown
 * - `internal`: a defect
 */
export type ErrorCode =
  | "invalid_argument"
  | "not_found"
  | "already_exists"
  | "failed_precondition"
  | "exhausted"
  | "unavailable"
  | "deadline_exceeded"
  | "cancelled"
  | "permission_denied"
  | "unauthenticated"
  | "internal";

/**
 * The reason for an error, for programs: finer than the code where callers act
 * on the difference. docs/errors.md lists them.
 */
export type ErrorReason =
  | "INVALID_FIELD"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "WRONG_STATE"
  | "EXHAUSTED"
  | "UNAVAILABLE"
  | "DEADLINE_EXCEEDED"
  | "CANCELLED"
  | "NOT_ALLOWED"
  | "UNKNOWN_CALLER"
  | "INTERNAL"
  /** Another agent answers the call; `url` in the metadata is its address. */
  | "OTHER_AGENT"
  /** The client uses more of the agent than it may, or changes the cluster too often. */
  | "CLIENT_LIMIT"
  /** The registry is moving to another store, `from` or `to` in the metadata. */
  | "MIGRATING"
  /** The registry was restored, or has just started, and waits for nodes that it may not know. */
  | "RESTORE_GRACE"
  /** The node belongs to another cluster than this registry. */
  | "OTHER_CLUSTER"
  | "UNKNOWN_CALL";

/** The details of an error for programs, besides its code. */
export interface ErrorDetails {
  /** Default: the one of the code. */
  readonly reason?: ErrorReason | undefined;
  /** Names the subject, such as `field`, `node`, `address` or `url`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** A condition that callers act on. The message is for people, the code and the details for programs. */
export class NetError extends Error {
  override readonly name = "NetError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    options?: ErrorOptions & ErrorDetails,
  ) {
    super(message, options);
    this.code = code;
    this.details = { reason: options?.reason, metadata: options?.metadata };
  }
}
