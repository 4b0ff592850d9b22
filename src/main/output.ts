/**
 * Writes whole texts.
 *
 * @param onBroken decides when nobody reads any more
 */
export function writeTo(
  stream: { writeSync(bytes: Uint8Array): number },
  onBroken: () => void,
): (text: string) => void {
  const encoder = new TextEncoder();
  return (text) => {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      onBroken();
    }
  };
}

/** Notes and logs are for whom it may concern: an agent goes on without a reader. */
export const writeError: (text: string) => void = writeTo(
  Deno.stderr,
  () => {},
);

/** The width of the terminal, undefined where there is none. */
export function columns(): number | undefined {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Not a terminal: help has its default width.
    return undefined;
  }
}
