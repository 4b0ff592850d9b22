import { describe } from "./json.ts";

/** Who holds addresses, as the agent knows it. */
export interface CniOwner {
  /** Name of the network. */
  readonly network: string;
  readonly containerId: string;
  readonly interfaceName: string;
}

// Two grammars at once: the CNI specification's ("Network configuration
// objects", "Parameters") and the agent's lengths, see src/base/names.ts.
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/;
// The engine takes half a millisecond to make sense of \p: most names never need it.
const PLAIN_INTERFACE = /^[!-.0-9;-~]{1,15}$/;
const INTERFACE = /^[^\s/:\p{C}]{1,15}$/u;

const NAME_GRAMMAR =
  "1 to 253 letters, digits, dots, hyphens and underscores, a letter or digit first";

/** What is wrong with the name of a network; undefined: nothing. */
export function checkNetworkName(text: string): string | undefined {
  return problem(text, NAME.test(text), NAME_GRAMMAR);
}

/** What is wrong with the id of a container; undefined: nothing. */
export function checkContainerId(text: string): string | undefined {
  return problem(text, NAME.test(text), NAME_GRAMMAR);
}

/** What is wrong with the name of an interface; undefined: nothing. */
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

function problem(
  text: string,
  isValid: boolean,
  grammar: string,
): string | undefined {
  return isValid ? undefined : `${describe(text)} is not ${grammar}`;
}
