const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Reads a duration as people write it, in ms: a whole number and one of the
 * units ms, s, m, h and d, such as `60s`. Undefined for any other text.
 */
export function readDurationMs(text: string): number | undefined {
  const [, count, unit] = /^(0|[1-9]\d*)(ms|s|m|h|d)$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(count) * UNITS_MS[unit]!;
}

/** Formats a duration for people, rounded up: `90 s`, `15 min`, `30 h`, `7 d`. */
export function formatDuration(ms: number): string {
  const units = [["s", 1_000, 120], ["min", 60_000, 120], ["h", 3_600_000, 72]];
  for (const [unit, unitMs, most] of units as [string, number, number][]) {
    const count = Math.ceil(ms / unitMs);
    if (count <= most) return `${count} ${unit}`;
  }
  return `${Math.ceil(ms / 86_400_000)} d`;
}

/** Formats a time for people: `2026-01-02 03:04:05Z`. @param ms since 1970 */
export function formatUtcMs(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace(/\.\d+/, "");
}
