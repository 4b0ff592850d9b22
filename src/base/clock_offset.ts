/**
 * The difference between two clocks that an answer proves, in ms: this one less
 * the other, negative when this one is behind. It is 0 while the other's time
 * lies between the question and the answer, so that neither a slow answer nor a
 * clock that somebody sets meanwhile looks like a difference.
 *
 * @param ours this clock at the question and at the answer
 * @param theirMs the other clock when it answered, in ms since 1970
 */
export function provenClockOffsetMs(
  ours: { readonly askedMs: number; readonly answeredMs: number },
  theirMs: number,
): number {
  const { askedMs, answeredMs } = ours;
  const first = Math.min(askedMs, answeredMs);
  const last = Math.max(askedMs, answeredMs);
  if (theirMs < first) return first - theirMs;
  return theirMs > last ? last - theirMs : 0;
}
