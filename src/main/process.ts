/** The program itself. */
export interface Program {
  readonly version: string;
  /** Path of its main module. */
  readonly main: string;
  /** Folder of its modules. */
  readonly dir: string;
}

/** The environment, read one variable at a time: the program may not read all of it. */
export const ENVIRONMENT: Record<string, string | undefined> = new Proxy({}, {
  get: (_, name) => Deno.env.get(String(name)),
});

/** Path of the built program. The launcher of a self-extracting program sets the variable. */
export function executable(): string {
  return Deno.env.get("STELLAR_NET_EXECUTABLE") ?? Deno.execPath();
}

/**
 * Makes a function that writes whole texts to a stream.
 *
 * @param onBroken called when the reader has closed the stream
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

/** Writes notes and logs: an agent runs on when nobody reads them. */
export const writeError: (text: string) => void = writeTo(
  Deno.stderr,
  () => {},
);

/** The width of the terminal; undefined where there is none. */
export function columns(): number | undefined {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Not a terminal: help has its default width.
    return undefined;
  }
}
