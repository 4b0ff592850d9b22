/** The times that the slider of the past reaches, in ms since 1970. */
export interface Timeline {
  readonly beginMs: number;
  readonly endMs: number;
}

/** Steps of the slider: a screen has no more. */
export const SLIDER_STEPS = 1_000;

/** The place on the slider of a moment. @param atMs undefined: now */
export function stepOf(
  { beginMs, endMs }: Timeline,
  atMs: number | undefined,
): number {
  if (atMs === undefined) return SLIDER_STEPS;
  const share = (atMs - beginMs) / Math.max(1, endMs - beginMs);
  return Math.round(Math.min(1, Math.max(0, share)) * SLIDER_STEPS);
}

/** The moment at a place on the slider, to the second; undefined: now. */
export function momentAt(
  { beginMs, endMs }: Timeline,
  step: number,
): number | undefined {
  if (step >= SLIDER_STEPS) return undefined;
  const atMs = beginMs + (endMs - beginMs) * Math.max(0, step) / SLIDER_STEPS;
  return Math.ceil(atMs / 1000) * 1000;
}

/**
 * The moment of the next event, or of the one before. Moments are the last
 * instants before a second ends, so that they show what happened in it.
 *
 * @param times of the events, the latest first, in ms since 1970
 * @returns undefined: there is none; forward, that is now
 */
export function eventMoment(
  times: readonly number[],
  atMs: number | undefined,
  direction: "back" | "forward",
): number | undefined {
  const from = atMs ?? Infinity;
  const moments = times.map(endOfSecond);
  return direction === "back"
    ? moments.find((moment) => moment < from)
    : moments.findLast((moment) => moment > from);
}

function endOfSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000 + 999;
}
