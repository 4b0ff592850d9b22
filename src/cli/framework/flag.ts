/** What a shell can offer in place of a value: words, or names of files. */
export type Completion = readonly string[] | "file" | "directory";

/** A flag and its environment twin. */
export interface Flag<T> {
  /** Without dashes, such as `cool-down`. */
  readonly name: string;
  /** What stands for the value in help, such as `DURATION`. None: a switch. */
  readonly value?: string;
  readonly description: string;
  /** The default as a user would write it. */
  readonly default?: string;
  /** The default in words, where it is no text. */
  readonly defaultNote?: string;
  /** Whether it may be given several times; its twin is separated by commas. */
  readonly repeatable?: boolean;
  readonly completion?: Completion;
  /** @throws {RangeError} quoting the text and saying what would do */
  readonly parse: (text: string) => T;
}

/** What stands on the command line without a flag. */
export interface Operand<T> {
  /** As in help, such as `CIDR`. */
  readonly name: string;
  readonly description: string;
  readonly optional?: boolean;
  readonly completion?: Completion;
  /** @throws {RangeError} quoting the text and saying what would do */
  readonly parse: (text: string) => T;
}

/** The values of a command's flags, read strictly. */
export interface FlagValues {
  /** The value of a flag: from the command line, else the environment, else the default. */
  value<T>(flag: Flag<T> & { readonly default: string }): T;
  value<T>(flag: Flag<T>): T | undefined;
  /** The values of a repeatable flag. */
  values<T>(flag: Flag<T>): T[];
  /** The texts given for a flag, its default apart; undefined if there are none. */
  given(flag: Flag<unknown>): readonly string[] | undefined;
  /** The source of a flag's value: `--name`, or the name of its environment variable. */
  originOf(flag: Flag<unknown>): string;
  /** A usage error that names the command. */
  usage(problem: string): Error;
}

/** The environment twin of a flag: `STELLAR_NET_COOL_DOWN` for `cool-down`. */
export function environmentName(flag: Flag<unknown>): string {
  return `STELLAR_NET_${flag.name.replaceAll("-", "_").toUpperCase()}`;
}

/** A flag's line in help: what it is, its default and its twin. */
export function describeFlag(flag: Flag<unknown>): string {
  const notes = [
    ...flag.repeatable ? ["repeatable"] : [],
    ...flag.default === undefined ? [] : [`default: ${flag.default}`],
    ...flag.defaultNote === undefined ? [] : [`default: ${flag.defaultNote}`],
    `env: ${environmentName(flag)}`,
  ];
  return `${flag.description} (${notes.join(", ")})`;
}
