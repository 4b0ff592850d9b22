/** Formats a part of a whole in percent, rounded down; only nothing is `0%`. */
export function formatPercent(part: bigint, whole: bigint): string {
  if (whole <= 0n) return "-";
  const percent = part * 100n / whole;
  return percent === 0n && part > 0n ? "<1%" : `${percent}%`;
}

/**
 * Formats a part of a whole in percent as {@linkcode formatPercent} does, for
 * counts that no bigint is needed for, such as the capacity of a /64. A whole
 * of nothing gives an empty text.
 */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0) return "";
  const percent = Math.floor(100 * part / whole);
  return percent === 0 && part > 0 ? "<1%" : `${percent}%`;
}
