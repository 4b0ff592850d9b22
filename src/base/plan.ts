import { type ErrorCode, type ErrorReason, NetError } from "./error.ts";

/** The answer of a plan, and the changes that make it true. No changes: all is as it should be. */
export interface Planned<T, Change> {
  readonly kind: "planned";
  readonly answer: T;
  readonly changes: readonly Change[];
}

/** A refusal as a value: what a plan returns instead of throwing. */
export interface Refusal {
  readonly kind: "refused";
  readonly code: ErrorCode;
  readonly message: string;
  /** The reason of the error. Default: the one of the code. */
  readonly errorReason?: ErrorReason;
}

/** Makes a refusal. */
export function refuse(
  code: ErrorCode,
  message: string,
  errorReason?: ErrorReason,
): Refusal {
  return { kind: "refused", code, message, ...errorReason && { errorReason } };
}

/** The error that tells a caller of a refusal. */
export function refusalError(
  { code, message, errorReason }: Refusal,
  metadata?: Readonly<Record<string, string>>,
): NetError {
  return new NetError(code, message, { reason: errorReason, metadata });
}
