/** The value that a share of some values is below of: 0.5 for the median. Of an even number of them, the upper. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.floor(sorted.length * share));
  return sorted[index]!;
}
