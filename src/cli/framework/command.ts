import { Command, type HelpContext, Option } from "commander";
import type { CommandSpec, GroupSpec } from "./call.ts";
import { UsageError } from "./exit.ts";
import { describeFlag, type Flag, type Operand } from "./flag.ts";
import type { CliIo } from "./io.ts";
import { CLIENT_FLAGS, TARGET_FLAGS } from "./target.ts";

const COMMAND: Operand<string> = {
  name: "COMMAND...",
  description: "a command, or a noun and a verb",
  optional: true,
  parse: (text) => text,
};

/** Makes the help command. @param show finds a command and prints its help */
export function createHelp(
  show: (words: readonly string[]) => void,
): CommandSpec {
  return {
    name: "help",
    summary: "Show the help of a command",
    action: "show the help",
    operands: [COMMAND],
    examples: ["stellar-net help", "stellar-net help ip allocate"],
    run: (call) => show(call.words),
  };
}

/** A command line that names a command. */
export interface Dispatch {
  readonly spec: CommandSpec;
  readonly command: StellarCommand;
  readonly operands: readonly string[];
}

/** Commander's command, which throws a UsageError where commander would print. */
export class StellarCommand extends Command {
  override createCommand(name?: string): StellarCommand {
    return new StellarCommand(name);
  }

  /** The command as it is typed, such as `stellar-net ip list`. */
  path(): string {
    const { parent } = this;
    return parent instanceof StellarCommand
      ? `${parent.path()} ${this.name()}`
      : this.name();
  }

  override error(message: string): never {
    const problem = message
      .replace(/^error: /, "")
      .replace(/\.$/, "")
      .replaceAll(/'([^']*)'/g, '"$1"')
      .replaceAll("\n", " ");
    throw new UsageError(this.path(), problem);
  }

  // Commander prints the help of the program for an unknown command with --help.
  override outputHelp(
    context?: HelpContext | ((text: string) => string),
  ): void {
    const [word] = this.args;
    const isWord = word !== undefined && !word.startsWith("-");
    if (this.commands.length > 0 && isWord) {
      const names = this.commands.map((command) => command.name());
      if (!names.includes(word)) this.error(`unknown command '${word}'`);
    }
    super.outputHelp(context as HelpContext);
  }

  // Commander calls this for a noun without a verb, which is wrong usage. The
  // program without any command shows its help.
  override help(context?: HelpContext | ((text: string) => string)): never {
    if (typeof context === "object" && context.error && this.parent) {
      const names = this.commands.map((command) => command.name());
      this.error(`it needs a command: ${names.join(", ")}`);
    }
    return super.help();
  }
}

/** Makes the tree of commands. @param run called with the command of the command line */
export function createCommands(
  specs: readonly (CommandSpec | GroupSpec)[],
  io: CliIo,
  run: (dispatch: Dispatch) => Promise<void>,
): StellarCommand {
  const root = new StellarCommand("stellar-net")
    .description(
      "Subnets, addresses and routes for the containers of a cluster.",
    )
    .version(`stellar-net ${io.version}`, "--version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({ subcommandTerm: formatTerm })
    .configureOutput({
      writeOut: io.stdout,
      writeErr: io.stderr,
      getOutHelpWidth: () => io.columns ?? 80,
      getErrHelpWidth: () => io.columns ?? 80,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  addFlags(root, CLIENT_FLAGS);
  addExamples(root, [
    "stellar-net agent --listen 127.0.0.1:9000",
    "stellar-net ip allocate web-1",
    "stellar-net help ip allocate",
  ]);
  for (const spec of specs) {
    if ("run" in spec) addCommand(root, spec, run);
    else addGroup(root, spec, run);
  }
  return root;
}

/**
 * The texts given for each flag, by its name. Client flags may also stand before
 * the command; the one nearest to the verb counts.
 */
export function readGiven(
  { command, spec }: Dispatch,
): Map<string, readonly string[]> {
  const given = new Map<string, readonly string[]>();
  for (const level of lineage(command)) {
    for (const option of level.options) {
      const key = option.attributeName();
      if (level.getOptionValueSource(key) !== "cli") continue;
      const isKnown = spec.flags?.some((flag) => flag.name === option.name());
      // A shell alias may name the agent for all commands.
      const isTarget = TARGET_FLAGS.some((f) => f.name === option.name());
      if (!isKnown && !isTarget) {
        command.error(`it has no flag --${option.name()}`);
      }
      const value: unknown = level.getOptionValue(key);
      given.set(option.name(), Array.isArray(value) ? value : [String(value)]);
    }
  }
  return given;
}

function addGroup(
  root: StellarCommand,
  spec: GroupSpec,
  run: (dispatch: Dispatch) => Promise<void>,
): void {
  const group = root.command(spec.name).description(spec.summary);
  addFlags(group, CLIENT_FLAGS);
  addExamples(group, spec.commands.map(({ examples }) => examples[0]!));
  for (const command of spec.commands) addCommand(group, command, run);
}

function addCommand(
  parent: StellarCommand,
  spec: CommandSpec,
  run: (dispatch: Dispatch) => Promise<void>,
): void {
  const command = parent.command(spec.name).description(spec.summary);
  for (const { name, description, optional } of spec.operands ?? []) {
    command.argument(optional ? `[${name}]` : `<${name}>`, description);
  }
  addFlags(command, spec.flags ?? []);
  addExamples(command, spec.examples);
  command.action(() => run({ spec, command, operands: command.args }));
}

// Commander would read variables from the process, and take any value of a
// switch's variable for "on": here it only splits the line, and `Call` parses.
function addFlags(
  command: StellarCommand,
  flags: readonly Flag<unknown>[],
): void {
  for (const flag of flags) {
    const letter = flag.letter ? `-${flag.letter}, ` : "";
    const term = flag.value
      ? `${letter}--${flag.name} <${flag.value}>`
      : `${letter}--${flag.name}`;
    const option = new Option(term, describeFlag(flag));
    // A flag such as --no-blackhole is a flag of its own, not another's opposite.
    option.negate = false;
    if (flag.value) {
      option.argParser((text: string, earlier: readonly string[] = []) => [
        ...earlier,
        text,
      ]);
    }
    command.addOption(option);
  }
}

function addExamples(
  command: StellarCommand,
  examples: readonly string[],
): void {
  command.addHelpText("after", `\nExamples:\n  ${examples.join("\n  ")}`);
}

function formatTerm(command: Command): string {
  const operands = command.registeredArguments.map((argument) => {
    const name = argument.name() + (argument.variadic ? "..." : "");
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [command.name(), ...operands].join(" ");
}

function lineage(command: StellarCommand): StellarCommand[] {
  const { parent } = command;
  return parent instanceof StellarCommand
    ? [...lineage(parent), command]
    : [command];
}
