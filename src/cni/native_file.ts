/** Paths that an installation writes into a native plugin. */
export interface NativePluginPaths {
  /** The agent's socket. */
  readonly socketPath: string;
  /** The executable that runs where the agent does not answer. */
  readonly executable: string;
}

const encoder = new TextEncoder();
/** In front of the paths in the compiled plugin, with a zero behind it. */
const MARK = encoder.encode("stellar-net paths:\n\0");
/** Sizes of both fields: `sun_path` (unix(7)) and PATH_MAX. */
const SOCKET_BYTES = 108;
const EXECUTABLE_BYTES = 4096;

/**
 * Returns a copy of the compiled plugin with other paths.
 *
 * @throws {RangeError} when a path is too long, or the file is not this plugin
 */
export function formatNativePlugin(
  plugin: Uint8Array,
  { socketPath, executable }: NativePluginPaths,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(plugin);
  const at = findMark(bytes) + MARK.length;
  put(bytes.subarray(at, at + SOCKET_BYTES), socketPath);
  const next = at + SOCKET_BYTES;
  put(bytes.subarray(next, next + EXECUTABLE_BYTES), executable);
  return bytes;
}

function put(field: Uint8Array, path: string): void {
  const text = encoder.encode(path);
  if (text.length >= field.length) {
    throw new RangeError(
      `Cannot install the native plugin: "${path}" has more than ${
        field.length - 1
      } bytes`,
    );
  }
  field.fill(0);
  field.set(text);
}

function findMark(bytes: Uint8Array): number {
  const found: number[] = [];
  const end = bytes.length - MARK.length - SOCKET_BYTES - EXECUTABLE_BYTES;
  for (let at = bytes.indexOf(MARK[0]!); at >= 0 && at <= end;) {
    if (MARK.every((byte, i) => bytes[at + i] === byte)) found.push(at);
    at = bytes.indexOf(MARK[0]!, at + 1);
  }
  if (found.length === 1) return found[0]!;
  throw new RangeError(
    `Cannot install the native plugin: its paths are in ${found.length} places`,
  );
}
