import { quote } from "../net/address.ts";

/**
 * The grammars of names that come from outside. What passes is safe in a log,
 * on a terminal and as an argument of a program.
 */

const NODE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const NETWORK = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$/;
const CONTAINER = /^[!-~]{1,253}$/;
const INTERFACE = /^[^\s/:\p{C}]{1,15}$/u;

const LABEL_KEY = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
/** Most labels of one thing, and most bytes of them together, in UTF-8. */
const MAX_LABELS = 16;
const MAX_LABEL_BYTES = 1024;
const MAX_LABEL_VALUE = 255;

const ID = /^[A-Za-z0-9-]{1,64}$/;
const API_URL =
  /^https?:\/\/(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):\d{1,5}$/;

/** Longest reason that is kept, in characters. */
const MAX_TEXT = 1024;
/** PATH_MAX of Linux, less the final NUL. */
const MAX_PATH_BYTES = 4095;

/** Checks the name of a node: a host name as in RFC 1123, with `_` allowed. @throws {RangeError} */
export function parseNodeName(text: string): string {
  return check(
    text,
    NODE.test(text),
    "1 to 253 letters, digits, dots, hyphens and underscores, a letter or digit first and last",
  );
}

/** Checks the name of a container network as the CNI specification does. @throws {RangeError} */
export function parseNetworkName(text: string): string {
  return check(
    text,
    NETWORK.test(text),
    "1 to 253 letters, digits, dots, hyphens and underscores, a letter or digit first",
  );
}

/** Checks the id of a container: any printable ASCII without spaces. @throws {RangeError} */
export function parseContainerId(text: string): string {
  return check(
    text,
    CONTAINER.test(text),
    "1 to 253 printable ASCII characters without spaces",
  );
}

/** Checks the name of an interface as Linux does (`dev_valid_name`). @throws {RangeError} */
export function parseInterfaceName(text: string): string {
  const isValid = INTERFACE.test(text) && text !== "." && text !== ".." &&
    new TextEncoder().encode(text).length <= 15;
  return check(
    text,
    isValid,
    "1 to 15 bytes without spaces, slashes and colons, and not . or ..",
  );
}

/** Checks a text for people, such as a reason: may be empty, on one line. @throws {RangeError} */
export function parseText(text: string): string {
  const isValid = text.length <= MAX_TEXT && !/\p{C}/u.test(text);
  return check(
    text,
    isValid,
    `at most ${MAX_TEXT} characters on one line, without control characters`,
  );
}

/** Labels: values by key. */
export type Labels = Readonly<Record<string, string>>;

/**
 * Checks the labels of an allocation: at most 16, of at most 1,024 bytes
 * together; each key 1 to 63 letters, digits and `. _ - /`, each value at most
 * 255 characters on one line.
 *
 * @throws {RangeError}
 */
export function parseLabels(labels: Labels): Labels {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) {
    throw new RangeError(
      `there are ${entries.length} labels, and ${MAX_LABELS} are the most`,
    );
  }
  let bytes = 0;
  for (const [key, value] of entries) {
    check(
      key,
      LABEL_KEY.test(key),
      "1 to 63 letters, digits, dots, underscores, hyphens and slashes, a letter or digit first and last",
    );
    check(
      value,
      value.length <= MAX_LABEL_VALUE && !/\p{C}/u.test(value),
      `at most ${MAX_LABEL_VALUE} characters on one line, without control characters`,
    );
    bytes += key.length + new TextEncoder().encode(value).length;
  }
  if (bytes <= MAX_LABEL_BYTES) return labels;
  throw new RangeError(
    `they have ${bytes} bytes together, and ${MAX_LABEL_BYTES} are the most`,
  );
}

/** Checks a random id, such as a UUID. @throws {RangeError} */
export function parseId(text: string): string {
  return check(
    text,
    ID.test(text),
    "1 to 64 letters, digits and hyphens",
  );
}

/** Checks the URL of an agent's API, without a path. @throws {RangeError} */
export function parseApiUrl(text: string): string {
  return check(
    text,
    API_URL.test(text) && URL.canParse(text),
    'a URL such as "https://198.18.0.1:9000"',
  );
}

/** Checks the absolute path of a file: at most 4,095 bytes, without control characters. @throws {RangeError} */
export function parsePath(text: string): string {
  const isValid = text.startsWith("/") && !/\p{C}/u.test(text) &&
    new TextEncoder().encode(text).length <= MAX_PATH_BYTES;
  return check(
    text,
    isValid,
    `an absolute path of at most ${MAX_PATH_BYTES} bytes without control characters`,
  );
}

function check(text: string, isValid: boolean, grammar: string): string {
  if (isValid) return text;
  throw new RangeError(`${quote(text)} is not valid: it has to be ${grammar}`);
}

/**
 * The holder of an allocation, by which everything in IPAM is keyed. A container
 * may have several interfaces, and be in several networks.
 */
export interface Owner {
  /** Name of the container network, as in the CNI configuration. */
  readonly network: string;
  readonly containerId: string;
  readonly interfaceName: string;
}

/** The key of an owner in maps; no two owners share one. */
export function ownerKey(owner: Owner): string {
  return JSON.stringify([
    owner.network,
    owner.containerId,
    owner.interfaceName,
  ]);
}

/** Names an owner for people, such as `"web1" (eth0 in default)`. */
export function formatOwner(owner: Owner): string {
  return `"${owner.containerId}" (${owner.interfaceName} in ${owner.network})`;
}
