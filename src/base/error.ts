/**
 * What kind of condition an error is. Each edge has a table from these to its
 * own codes: RPC, CNI, exit code.
 *
 * - `invalid_argument`: the input can never be right
 * - `not_found`, `already_exists`: what is named is missing or in the way
 * - `failed_precondition`: right in another state, and trying again does not help
 * - `exhausted`: no subnet or address is left
 * - `unavailable`: a store, peer or agent is out of reach; try again
 * - `deadline_exceeded`, `cancelled`: the caller has stopped waiting
 * - `permission_denied`, `unauthenticated`: who asks may not, or is not known
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

/** A condition that callers act on. The message is for people, the code for programs. */
export class NetError extends Error {
  override readonly name = "NetError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
