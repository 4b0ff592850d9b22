import { parsePath, parseSwitch } from "./parsers.ts";

/** Shell completion of a value: words, or the names of files, folders or the cluster's nodes. */
export type Completion = readonly string[] | "file" | "directory" | "node";

/** A flag and its environment variable. */
export interface Flag<T> {
  /** Without dashes, such as `cool-down`. */
  readonly name: string;
  /** A letter for it, such as `o`. */
  readonly letter?: string;
  /** The value's name in help, such as `DURATION`. None: a switch. */
  readonly value?: string;
  readonly description: string;
  /** The default as a user would write it. */
  readonly default?: string;
  /** The default in words, where it is not text. */
  readonly defaultNote?: string;
  /** Whether it may be given several times; the variable's values are separated by commas. */
  readonly repeatable?: boolean;
  readonly completion?: Completion;
  /** Whether it has no environment variable: it destroys or forces something, changes how a command runs, or shares its name with another flag. */
  readonly isTypedOnly?: boolean;
  /** @throws {RangeError} quoting the text and saying what is valid */
  readonly parse: (text: string) => T;
}

export type FlagWithDefault<T> = Flag<T> & { readonly default: string };

/** A positional argument of a command. */
export interface Operand<T> {
  /** As in help, such as `CIDR`. */
  readonly name: string;
  readonly description: string;
  readonly optional?: boolean;
  readonly completion?: Completion;
  /** @throws {RangeError} quoting the text and saying what is valid */
  readonly parse: (text: string) => T;
}

export type OptionalOperand<T> = Operand<T> & { readonly optional: true };

/** The values of a command's flags, read strictly. */
export interface FlagValues {
  /** The value of a flag: from the command line, else the environment, else the default. */
  value<T>(flag: FlagWithDefault<T>): T;
  value<T>(flag: Flag<T>): T | undefined;
  /** The values of a repeatable flag. */
  values<T>(flag: Flag<T>): T[];
  /** The texts given for a flag, without its default; undefined if there are none. */
  given(flag: Flag<unknown>): readonly string[] | undefined;
  /** The source of a flag's value: `--name`, or the name of its environment variable. */
  originOf(flag: Flag<unknown>): string;
  /** A usage error that names the command. */
  usage(problem: string): Error;
}

/** Makes a flag without a value. */
export function switchFlag(name: string, description: string): Flag<boolean> {
  return { name, description, parse: parseSwitch };
}

/** Makes a flag without a value that destroys or forces: an environment cannot set it. */
export function destructiveFlag(
  name: string,
  description: string,
): Flag<boolean> {
  return { ...switchFlag(name, description), isTypedOnly: true };
}

/** Makes a flag whose value is the path of a file. @param defaultNote the default in words */
export function fileFlag(
  name: string,
  description: string,
  defaultNote = "none",
): Flag<string> {
  return {
    ...{ name, value: "FILE", description, defaultNote },
    completion: "file",
    parse: parsePath,
  };
}

/** The environment variable of a flag: `STELLAR_NET_COOL_DOWN` for `cool-down`. */
export function environmentName(flag: Flag<unknown>): string {
  return `STELLAR_NET_${flag.name.replaceAll("-", "_").toUpperCase()}`;
}

/** A flag's line in help: its description, default and environment variable. */
export function describeFlag(flag: Flag<unknown>): string {
  const notes = [
    ...flag.repeatable ? ["repeatable"] : [],
    ...flag.default === undefined ? [] : [`default: ${flag.default}`],
    ...flag.defaultNote === undefined ? [] : [`default: ${flag.defaultNote}`],
    flag.isTypedOnly ? "no env" : `env: ${environmentName(flag)}`,
  ];
  return `${flag.description} (${notes.join(", ")})`;
}

/** Refuses two flags that exclude each other. @param why the reason, as a sentence's end */
export function refuseTogether(
  call: FlagValues,
  { flag, others, why }: {
    readonly flag: Flag<unknown>;
    readonly others: readonly Flag<unknown>[];
    readonly why: string;
  },
): void {
  if (!isGiven(call, flag)) return;
  const other = others.find((other) => isGiven(call, other));
  if (!other) return;
  throw call.usage(
    `${call.originOf(other)} does not go with ${call.originOf(flag)}: ` +
      `${why}; remove one of the two`,
  );
}

// A switch that is given as "false" is off.
function isGiven(call: FlagValues, flag: Flag<unknown>): boolean {
  const { default: _, ...bare } = flag;
  const values = call.values<unknown>(bare);
  return values.length > 0 && values.at(-1) !== false;
}
