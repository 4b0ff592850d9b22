import { describe } from "./json.ts";

/** The holder of addresses, as the agent knows it. */
export interface CniOwner {
  /** Name of the network. */
  readonly network: string;
  readonly containerId: string;
  readonly interfaceName: string;
}

// What passes here meets both the CNI specification ("Network configuration
// objects", "Parameters") and the grammars of src/base/names.ts.
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/;
// The engine takes half a millisecond to compile \p, and most names never need it.
const PLAIN_INTERFACE = /^[!-.0-9;-~]{1,15}$/;
const INTERFACE = /^[^\s/:\p{C}]{1,15}$/u;

const NAME_GRAMMAR =
  "1 to 253 letters, digits, dots, hyphens and underscores, a letter or digit first";

/** Bytes of a path in a socket's address, without its closing zero (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;
/** PATH_MAX of Linux, without the closing zero. */
const MAX_PATH_BYTES = 4095;

/** The fault in the name of a network; undefined: none. */
export function checkNetworkName(text: string): string | undefined {
  return problem(text, NAME.test(text), NAME_GRAMMAR);
}

/** The fault in the id of a container; undefined: none. */
export function checkContainerId(text: string): string | undefined {
  return problem(text, NAME.test(text), NAME_GRAMMAR);
}

/** The fault in the name of an interface; undefined: none. */
export function checkInterfaceName(text: string): string | undefined {
  const isValid = text !== "." && text !== ".." &&
    (PLAIN_INTERFACE.test(text) || (INTERFACE.test(text) &&
      new TextEncoder().encode(text).length <= 15));
  return problem(
    text,
    isValid,
    "1 to 15 bytes other than . and .., without spaces, slashes and colons",
  );
}

/** The fault in the path of a unix socket; undefined: none. */
export function checkSocketPath(text: string): string | undefined {
  const bytes = new TextEncoder().encode(text).length;
  return problem(
    text,
    bytes <= MAX_SOCKET_PATH_BYTES && isAbsolutePath(text),
    `an absolute path of at most ${MAX_SOCKET_PATH_BYTES} bytes`,
  );
}

/** The fault in an absolute path without control characters; undefined: none. */
export function checkPath(text: string): string | undefined {
  const isValid = isAbsolutePath(text) && !/\p{C}/u.test(text) &&
    new TextEncoder().encode(text).length <= MAX_PATH_BYTES;
  return problem(
    text,
    isValid,
    `an absolute path of at most ${MAX_PATH_BYTES} bytes without control characters`,
  );
}

/** Whether a path means the same from any working directory. */
export function isAbsolutePath(text: string): boolean {
  return text.startsWith("/") && !text.includes("\0");
}

function problem(
  text: string,
  isValid: boolean,
  grammar: string,
): string | undefined {
  return isValid ? undefined : `${describe(text)} is not ${grammar}`;
}
