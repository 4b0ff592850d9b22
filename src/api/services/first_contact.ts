import type { HandlerContext } from "@connectrpc/connect";
import type { ContactWait } from "../../member/first_contact.ts";

/** The longest wait for the first contact, also of a call without a deadline, in ms. */
const MAX_CONTACT_MS = 30_000;
/** The part of a deadline that is left for the answer, or for the cause of a failure. */
const ANSWER_PART = 0.2;

/** The wait of a call for the first contact with the registry: within its deadline. */
export function contactWait(context: HandlerContext): ContactWait {
  const leftMs = timeLeftMs(context) ?? Infinity;
  const limitMs = Math.min(MAX_CONTACT_MS, leftMs * (1 - ANSWER_PART));
  return { limitMs, signal: context.signal };
}

/** The time left for a call, in whole ms, as the protocols have it. Undefined
 * when its caller set no deadline. The library computes it from the clock, which
 * may have been set meanwhile, but ends the call by a timer.
 */
export function timeLeftMs(
  { signal, timeoutMs }: HandlerContext,
): number | undefined {
  const ms = timeoutMs();
  if (ms === undefined || ms <= 0 && !signal.aborted) return undefined;
  return Math.ceil(ms);
}
