import type { Lab } from "./lab.ts";

/** What the design allows for a repair, in ms. It is printed, and not asserted. */
const BUDGET_MS = 1_000;
/** Less than the interval of full checks, in ms: an event has to start the repair. */
export const BY_EVENT_MS = 25_000;

/** A fault and what undoes it. */
export interface Mending {
  /** What is broken, in a few words. */
  readonly what: string;
  /** Breaks it. The time is taken from its end on. */
  readonly breakIt: () => Promise<unknown>;
  /** Whether all is well again. */
  readonly isMended: () => Promise<boolean>;
  /** Default 25,000. */
  readonly timeoutMs?: number;
}

/**
 * Breaks something and waits until it is mended. Prints how long that took.
 *
 * @throws {Error} when it is not mended in time
 */
export async function watchMending(
  lab: Lab,
  { what, breakIt, isMended, timeoutMs = BY_EVENT_MS }: Mending,
): Promise<void> {
  await breakIt();
  const startedMs = performance.now();
  await lab.waitFor(`${what} to be mended`, isMended, { timeoutMs });
  const tookMs = Math.round(performance.now() - startedMs);
  console.log(
    `${what.padEnd(48)} ${
      String(tookMs).padStart(6)
    } ms (budget ${BUDGET_MS} ms)`,
  );
}
