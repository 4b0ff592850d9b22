/** A count at one moment. */
export interface Sample {
  /** In ms since 1970. */
  readonly atMs: number;
  readonly count: number;
}

/** The trend of a count, and the time at which it reaches its limit. */
export interface Forecast {
  /** Growth in counts a day; negative while it shrinks. */
  readonly perDay: number;
  /** The time from the first sample to the last, in ms: the basis of the trend. */
  readonly basisMs: number;
  /** When the count reaches its capacity, in ms since 1970; undefined if it does not grow. */
  readonly fullAtMs: number | undefined;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** Less than a day shows the rhythm of a day, not a trend. */
const MIN_BASIS_MS = DAY_MS;
/** Samples of the last two weeks: older ones no longer describe the load. */
export const MAX_BASIS_MS = 14 * DAY_MS;
/** Fewer samples than this are chance. */
const MIN_SAMPLES = 6;
/** A forecast further ahead than this says no more than "not soon". */
const MAX_AHEAD_MS = 3650 * DAY_MS;

/**
 * Extends the trend of a count to its capacity. The trend is the median of the
 * slopes between all pairs of samples (Theil, 1950; Sen, 1968), so that an hour
 * with a burst of containers does not bend it.
 *
 * @param samples in any order; those older than {@linkcode MAX_BASIS_MS} do not count
 * @returns undefined for less than a day of samples
 */
export function forecast(
  samples: readonly Sample[],
  limits: { readonly capacity: number; readonly nowMs: number },
): Forecast | undefined {
  const { capacity, nowMs } = limits;
  const recent = samples
    .filter(({ atMs }) => atMs <= nowMs && atMs >= nowMs - MAX_BASIS_MS)
    .sort((a, b) => a.atMs - b.atMs);
  const first = recent[0];
  const last = recent.at(-1);
  if (!first || !last || recent.length < MIN_SAMPLES) return undefined;
  const basisMs = last.atMs - first.atMs;
  if (basisMs < MIN_BASIS_MS) return undefined;
  const perDay = medianSlope(recent) * DAY_MS;
  return { perDay, basisMs, fullAtMs: findFullAt(last, { perDay, capacity }) };
}

/** When a count reaches its capacity at a rate, in ms since 1970; undefined if it does not, or in years. */
export function findFullAt(
  last: Sample,
  { perDay, capacity }: { readonly perDay: number; readonly capacity: number },
): number | undefined {
  if (last.count >= capacity) return last.atMs;
  if (perDay <= 0) return undefined;
  const aheadMs = (capacity - last.count) / perDay * DAY_MS;
  return aheadMs > MAX_AHEAD_MS ? undefined : Math.round(last.atMs + aheadMs);
}

function medianSlope(samples: readonly Sample[]): number {
  const slopes: number[] = [];
  for (const [i, a] of samples.entries()) {
    for (const b of samples.slice(i + 1)) {
      if (b.atMs > a.atMs) slopes.push((b.count - a.count) / (b.atMs - a.atMs));
    }
  }
  slopes.sort((a, b) => a - b);
  const middle = slopes.length / 2;
  return Number.isInteger(middle)
    ? (slopes[middle - 1]! + slopes[middle]!) / 2
    : slopes[Math.floor(middle)]!;
}
