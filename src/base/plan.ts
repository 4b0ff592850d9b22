import type { ErrorCode } from "./error.ts";

/** What a plan answers, and the changes that make it true. No changes: all is as it should be. */
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
}

/** Makes a refusal. */
export function refuse(code: ErrorCode, message: string): Refusal {
  return { kind: "refused", code, message };
}
