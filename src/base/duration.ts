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
