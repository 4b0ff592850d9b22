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

/** Formats the time since a moment by its largest unit: `3m ago`. */
export function formatAgo(ms: number): string {
  const [largest] = units(ms);
  return largest === undefined ? "just now" : `${largest} ago`;
}

/** Formats the time until something that is days away: `in 3 d`, `within a day`, `now`. */
export function formatTimeLeft(ms: number): string {
  const days = ms / 86_400_000;
  return days <= 0 ? "now" : days < 1 ? "within a day" : `in ${days | 0} d`;
}

/** Formats a duration by its two largest units: `3h 12m`. */
export function formatSpan(ms: number): string {
  const parts = units(ms).slice(0, 2);
  return parts.length === 0 ? "0s" : parts.join(" ");
}

function units(ms: number): string[] {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const counts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const first = counts.findIndex(([count]) => count > 0);
  return first < 0
    ? []
    : counts.slice(first).map(([count, unit]) => `${count}${unit}`);
}
