import type { AgentClients } from "./client.ts";
import { UsageError } from "./exit.ts";
import type { AgentTarget, CliIo } from "./io.ts";
import {
  environmentName,
  type Flag,
  type FlagValues,
  type FlagWithDefault,
  type Operand,
  type OptionalOperand,
} from "./flag.ts";
import { JSON_OUTPUT, readTarget, TIMEOUT } from "./target.ts";
import { escapeText, formatJson } from "./text.ts";

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** The verb phrase in "Cannot <do what>: ..." */
  readonly action: string;
  readonly operands?: readonly Operand<unknown>[];
  readonly flags?: readonly Flag<unknown>[];
  /** Complete command lines that work as they are. */
  readonly examples: readonly string[];
  /** Returns the exit code; undefined is 0. */
  readonly run: (call: Call) => Promise<number | void> | void;
}

/** A noun with its verbs. */
export interface GroupSpec {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly CommandSpec[];
}

/** A command line, split but not yet parsed. */
export interface CallInput {
  readonly spec: CommandSpec;
  /** The command as it is typed, such as `stellar-net ip list`. */
  readonly path: string;
  readonly operands: readonly string[];
  /** Texts by flag name, as given on the command line. A switch has one. */
  readonly given: ReadonlyMap<string, readonly string[]>;
}

/** A value of a flag, and its source. */
interface Text {
  readonly text: string;
  readonly origin: string;
}

/** One run of a command: its values, parsed strictly, and its output. */
export class Call implements FlagValues {
  readonly io: CliIo;
  readonly #input: CallInput;
  #clients: AgentClients | undefined;

  constructor(input: CallInput, io: CliIo) {
    this.#input = input;
    this.io = io;
  }

  /** The operands as given. */
  get words(): readonly string[] {
    return this.#input.operands;
  }

  value<T>(flag: FlagWithDefault<T>): T;
  value<T>(flag: Flag<T>): T | undefined;
  value<T>(flag: Flag<T>): T | undefined {
    const last = this.#texts(flag).at(-1);
    return last && this.#parse(flag, last);
  }

  values<T>(flag: Flag<T>): T[] {
    return this.#texts(flag).map((text) => this.#parse(flag, text));
  }

  given(flag: Flag<unknown>): readonly string[] | undefined {
    const { default: _, ...bare } = flag;
    const texts = this.#texts(bare).map(({ text }) => text);
    return texts.length === 0 ? undefined : texts;
  }

  /** The value of an operand. */
  operand<T>(operand: OptionalOperand<T>): T | undefined;
  operand<T>(operand: Operand<T>): T;
  operand<T>(operand: Operand<T>): T | undefined {
    const at = this.#input.spec.operands?.indexOf(operand) ?? -1;
    const text = this.#input.operands[at];
    if (text === undefined) return undefined;
    return this.#parse(operand, { text, origin: operand.name });
  }

  /** The values of the last operand, whose name ends with `...`. */
  operands<T>(operand: Operand<T>): T[] {
    const at = this.#input.spec.operands?.indexOf(operand) ?? -1;
    const origin = operand.name.replace(/\.{3}$/, "");
    return this.#input.operands.slice(at)
      .map((text) => this.#parse(operand, { text, origin }));
  }

  originOf(flag: Flag<unknown>): string {
    return this.#texts(flag).at(-1)?.origin ?? `--${flag.name}`;
  }

  /** The agent to call, and the identity. */
  get target(): AgentTarget {
    return readTarget(this);
  }

  usage(problem: string): UsageError {
    return new UsageError(this.#input.path, problem);
  }

  /** Clients of the agent that the flags name. @param timeout a flag with another default */
  clients(timeout: typeof TIMEOUT = TIMEOUT): AgentClients {
    return this.#clients ??= this.io.connect(this.target, {
      timeoutMs: this.value(timeout),
      note: (line) => this.note(line),
    });
  }

  /** The verb phrase of the command, such as "list nodes". */
  get action(): string {
    return this.#input.spec.action;
  }

  /** Writes the answer: the object with `--json`, else the lines. */
  answer(
    body: Readonly<Record<string, unknown>>,
    lines: readonly string[],
  ): void {
    const text = this.value(JSON_OUTPUT)
      ? formatJson(body) + "\n"
      : lines.map((line) => escapeText(line) + "\n").join("");
    this.io.stdout(text);
  }

  /** Writes a line that is not part of the answer. */
  note(line: string): void {
    this.io.stderr(escapeText(line) + "\n");
  }

  #texts(flag: Flag<unknown>): readonly Text[] {
    const given = this.#input.given.get(flag.name);
    if (given) {
      return given.map((text) => ({ text, origin: `--${flag.name}` }));
    }
    const variable = environmentName(flag);
    const fromEnvironment = flag.isTypedOnly
      ? undefined
      : this.io.env[variable];
    // An empty variable counts as unset, as shells and unit files leave them.
    const [text, origin] = fromEnvironment
      ? [fromEnvironment, variable]
      : [flag.default, `--${flag.name}`];
    if (text === undefined) return [];
    const texts = flag.repeatable ? text.split(",") : [text];
    return texts.map((text) => ({ text, origin }));
  }

  #parse<T>(
    source: { readonly parse: (text: string) => T },
    { text, origin }: Text,
  ): T {
    try {
      return source.parse(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw this.usage(`${origin}: ${error.message}`);
    }
  }
}
