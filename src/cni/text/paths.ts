import { describe } from "./json.ts";

/** Bytes of a path in a socket's address, its closing zero left out (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;

/** What is wrong with the path of a unix socket; undefined: nothing. */
export function checkSocketPath(text: string): string | undefined {
  const bytes = new TextEncoder().encode(text).length;
  return bytes <= MAX_SOCKET_PATH_BYTES && isAbsolutePath(text)
    ? undefined
    : `${
      describe(text)
    } is not an absolute path of at most ${MAX_SOCKET_PATH_BYTES} bytes`;
}

/** Whether a path means the same from wherever the plugin is called. */
export function isAbsolutePath(text: string): boolean {
  return text.startsWith("/") && !text.includes("\0");
}
