import {
  formatBash,
  formatFish,
  formatZsh,
  type Place,
} from "./completion_script.ts";
import { parseChoice } from "./parsers.ts";
import { CLIENT_FLAGS } from "./target.ts";
import type { CommandSpec, GroupSpec } from "./call.ts";
import type { Flag, Operand } from "./flag.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

const SHELL: Operand<typeof SHELLS[number]> = {
  name: "SHELL",
  description: "bash, zsh or fish",
  completion: SHELLS,
  parse: parseChoice(SHELLS),
};

const SCRIPTS = { bash: formatBash, zsh: formatZsh, fish: formatFish };

const HELP_FLAG = {
  name: "--help",
  summary: "show this help",
  takesValue: false,
  completion: undefined,
};

const VERSION_FLAG = {
  ...HELP_FLAG,
  name: "--version",
  summary: "print the version",
};

/**
 * Makes the command that prints a shell's completion script. The script contains
 * the whole tree: TAB runs the program only for the names of nodes.
 */
export function createCompletion(
  listSpecs: () => readonly (CommandSpec | GroupSpec)[],
): CommandSpec {
  return {
    name: "completion",
    summary: "Print the completion script of a shell",
    action: "print the completion script",
    operands: [SHELL],
    examples: [
      "stellar-net completion bash > /usr/share/bash-completion/completions/stellar-net",
      "stellar-net completion zsh > /usr/share/zsh/site-functions/_stellar-net",
      "stellar-net completion fish > /usr/share/fish/completions/stellar-net.fish",
    ],
    run: (call) => {
      const script = SCRIPTS[call.operand(SHELL)];
      call.io.stdout(script(listPlaces(listSpecs())));
    },
  };
}

/** Lists all places in the tree of commands. */
function listPlaces(
  specs: readonly (CommandSpec | GroupSpec)[],
): readonly Place[] {
  const groups = specs.filter((spec) => "commands" in spec);
  const root = placeOf("", specs, CLIENT_FLAGS);
  return [
    { ...root, flags: [...root.flags, VERSION_FLAG] },
    ...specs.flatMap((spec) =>
      "commands" in spec
        ? [
          placeOf(` ${spec.name}`, spec.commands, CLIENT_FLAGS),
          ...spec.commands.map((verb) => leafOf(` ${spec.name}`, verb)),
        ]
        : spec.name === "help"
        ? []
        : [leafOf("", spec)]
    ),
    // "help" accepts the words of every command.
    ...groups.map((group) =>
      placeOf(` help ${group.name}`, group.commands, [])
    ),
    placeOf(" help", specs, []),
  ];
}

function leafOf(parent: string, spec: CommandSpec): Place {
  const words = (spec.operands ?? []).flatMap(({ completion }) =>
    Array.isArray(completion)
      ? completion.map((name: string) => ({ name, summary: "" }))
      : []
  );
  const operand = spec.operands?.find(({ completion }) =>
    typeof completion === "string"
  )?.completion;
  return {
    ...placeOf(`${parent} ${spec.name}`, words, spec.flags ?? []),
    operand: operand as Place["operand"],
  };
}

function placeOf(
  path: string,
  words: readonly { readonly name: string; readonly summary?: string }[],
  flags: readonly Flag<unknown>[],
): Place {
  return {
    path,
    words: words.map(({ name, summary = "" }) => ({ name, summary })),
    flags: [
      ...flags.map(({ name, description, value, completion }) => ({
        name: `--${name}`,
        summary: description,
        takesValue: value !== undefined,
        completion,
      })),
      HELP_FLAG,
    ],
    operand: undefined,
  };
}
