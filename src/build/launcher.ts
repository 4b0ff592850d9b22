import type { Target } from "./target.ts";

/** What a launcher has to know. */
export interface LauncherOptions {
  readonly version: string;
  readonly target: Target;
  /** SHA-256 of the list of the files' SHA-256, in hex. */
  readonly digest: string;
  /** What stands between the runtime and the main module. */
  readonly command: readonly string[];
}

/** Hex digits of the digest that name the folder. */
const NAME_LENGTH = 32;

/**
 * The script in front of an archive, out of its template. The archive begins
 * with the next byte.
 */
export function formatLauncher(
  template: string,
  { version, target, digest, command }: LauncherOptions,
): string {
  const values = {
    VERSION: version,
    TARGET: target.triple,
    NAME: digest.slice(0, NAME_LENGTH),
    DIGEST: digest,
    MACHINE: target.machine,
    COMMAND: command.map(quote).join(" "),
  };
  let script = template;
  for (const [name, value] of Object.entries(values)) {
    script = script.replaceAll(`@${name}@`, () => value);
  }
  const length =
    new TextEncoder().encode(script.replace("@OFFSET@", "")).length;
  // Its own digits count.
  let offset = length + 1;
  while (offset !== length + 1 + String(offset).length) {
    offset = length + 1 + String(offset).length;
  }
  script = script.replace("@OFFSET@", String(offset));
  const left = /@[A-Z]+@/.exec(script);
  if (left) {
    throw new RangeError(`Cannot format the launcher: ${left[0]} is left`);
  }
  return script;
}

/** A word that a shell takes as it is. */
function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
