import type { Completion } from "./flag.ts";

/** A place on the command line, and the words and flags that can follow. */
export interface Place {
  /** Words so far, each after a space: `""`, `" ip"`, `" ip list"`. */
  readonly path: string;
  /** Commands and choices. */
  readonly words: readonly {
    readonly name: string;
    readonly summary: string;
  }[];
  readonly flags: readonly {
    /** With its dashes. */
    readonly name: string;
    readonly summary: string;
    readonly takesValue: boolean;
    readonly completion: Completion | undefined;
  }[];
  /** Completion of the operand, where no words can follow. */
  readonly operand: Exclude<Completion, readonly string[]> | undefined;
}

/** Flags that choose the agent, which are passed on to list its nodes. */
const TARGETS = ["--socket", "--url", "--identity"];
/** Lists the nodes that an agent knows, one a line; quietly none when it does not answer in time. */
const LIST_NODES =
  "node list --timeout 1s 2> /dev/null | tail -n +2 | cut -d ' ' -f 1";

type FlagOfPlace = Place["flags"][number];

const BASH_NODES = `"\${COMP_WORDS[0]}" "\${target[@]}" ${LIST_NODES}`;

/** The completion script of bash 4 and later. */
export function formatBash(places: readonly Place[]): string {
  const values = valueFlags(places);
  return `# Completion of stellar-net for bash: source <(stellar-net completion bash)
_stellar_net() {
  local cur=\${COMP_WORDS[COMP_CWORD]} at="" flag="" word words="" flags="" i
  local operand="" target=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $flag ]]; then
      # bash makes "=" a word of its own
      [[ $word == "=" ]] && continue
      case $flag in
        ${TARGETS.join(" | ")}) target+=("$flag" "$word") ;;
      esac
      flag=""
      continue
    fi
    case $word in
      ${values.map(({ name }) => name).join(" | ")}) flag=$word ;;
      -*) ;;
      *)
        case "$at $word" in
          ${paths(places).map(bashQuote).join(" | ")}) at="$at $word" ;;
        esac
        ;;
    esac
  done
  [[ $cur == "=" ]] && cur=""
  case $flag in
${values.map((flag) => `    ${flag.name}) ${bashValue(flag)} ;;`).join("\n")}
  esac
  if [[ -z $flag ]]; then
    case $at in
${
    places.map(({ path, words, flags, operand }) =>
      `      ${bashQuote(path)}) words=${bashQuote(names(words))} flags=${
        bashQuote(names(flags))
      } operand=${operand ?? "''"} ;;`
    ).join("\n")
  }
    esac
    if [[ $cur != -* ]]; then
      case $operand in
        file) ${bashFiles("-f")} ;;
        directory) ${bashFiles("-d")} ;;
        node) words=$(${BASH_NODES}) ;;
      esac
    fi
    [[ $cur == -* || -z $words ]] && words=$flags
  fi
  [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _stellar_net stellar-net
`;
}

const ZSH_VALUES = {
  file: "_files",
  directory: "_files -/",
  node: `compadd -- \${(f)"$(\${words[1]} "\${(@)target}" ${LIST_NODES})"}`,
} as const;

/** The completion script of zsh, for `source` or a folder in `fpath`. */
export function formatZsh(places: readonly Place[]): string {
  const values = valueFlags(places);
  return `#compdef stellar-net
# Completion of stellar-net for zsh: source <(stellar-net completion zsh)
_stellar_net() {
  local at="" flag="" word operand=""
  local -a verbs flags target
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ -n $flag ]]; then
      case $flag in
        ${TARGETS.join("|")}) target+=("$flag" "$word") ;;
      esac
      flag=""
      continue
    fi
    case $word in
      ${values.map(({ name }) => name).join("|")}) flag=$word ;;
      -*) ;;
      *)
        case "$at $word" in
          ${paths(places).map(bashQuote).join("|")}) at="$at $word" ;;
        esac
        ;;
    esac
  done
  case $flag in
${
    values.map((flag) => `    ${flag.name}) ${zshValue(flag)}; return ;;`)
      .join("\n")
  }
  esac
  case $at in
${
    places.map(({ path, words, flags, operand }) =>
      `    ${bashQuote(path)})
      verbs=(${words.map(zshItem).join(" ")})
      flags=(${flags.map(zshItem).join(" ")})
      operand=${operand ?? '""'}
      ;;`
    ).join("\n")
  }
  esac
  if [[ $PREFIX != -* ]]; then
    case $operand in
${
    Object.entries(ZSH_VALUES).map(([name, value]) =>
      `      ${name}) ${value}; return ;;`
    ).join("\n")
  }
    esac
  fi
  if [[ $PREFIX == -* ]] || (( ! $#verbs )); then
    _describe -o flag flags
  else
    _describe command verbs
  fi
}
if [[ $funcstack[1] == _stellar-net ]]; then
  _stellar_net "$@"
else
  compdef _stellar_net stellar-net
fi
`;
}

const FISH_VALUES = {
  file: "-F",
  directory: '-a "(__fish_complete_directories)"',
  node: '-a "(__stellar_net_nodes)"',
} as const;

/** The completion script of fish. */
export function formatFish(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words, flags, operand }) => {
    const start = `complete -c stellar-net -n ${
      fishQuote(`__stellar_net_at ${fishQuote(path)}`)
    }`;
    return [
      ...words.map(({ name, summary }) =>
        `${start} -a ${name} -d ${fishQuote(summary)}`
      ),
      ...operand === undefined ? [] : [`${start} ${FISH_VALUES[operand]}`],
      ...flags.map((flag) =>
        `${start} -l ${flag.name.slice(2)} ${fishValue(flag)}-d ${
          fishQuote(flag.summary)
        }`
      ),
    ];
  });
  return `# Completion of stellar-net for fish: stellar-net completion fish | source
function __stellar_net_at
  set -l at ""
  set -l flag ""
  for word in (commandline -opc)[2..]
    if test -n "$flag"
      set flag ""
      continue
    end
    switch $word
      case ${valueFlags(places).map(({ name }) => name).join(" ")}
        set flag $word
      case "-*"
      case "*"
        switch "$at $word"
          case ${paths(places).map(fishQuote).join(" ")}
            set at "$at $word"
        end
    end
  end
  test "$at" = "$argv[1]"
end
function __stellar_net_nodes
  set -l words (commandline -opc)
  set -l target
  for i in (seq 2 (count $words))
    if contains -- $words[$i] ${TARGETS.join(" ")}
      set -a target $words[$i] $words[(math $i + 1)]
    end
  end
  $words[1] $target ${LIST_NODES}
end
complete -c stellar-net -f
${lines.join("\n")}
`;
}

/** Flags with a value, each once. */
function valueFlags(places: readonly Place[]): FlagOfPlace[] {
  const flags = new Map<string, FlagOfPlace>();
  for (const flag of places.flatMap((place) => place.flags)) {
    // Of several flags with one name, one with a completion.
    const known = flags.get(flag.name)?.completion;
    if (flag.takesValue && known === undefined) flags.set(flag.name, flag);
  }
  return [...flags.values()];
}

function paths(places: readonly Place[]): string[] {
  return places.map(({ path }) => path).filter((path) => path !== "");
}

function names(items: readonly { readonly name: string }[]): string {
  return items.map(({ name }) => name).join(" ");
}

function bashValue({ completion }: FlagOfPlace): string {
  if (completion === undefined) return "return";
  if (typeof completion !== "string") {
    return `words=${bashQuote(completion.join(" "))}`;
  }
  if (completion === "node") return `words=$(${BASH_NODES})`;
  return bashFiles(completion === "file" ? "-f" : "-d");
}

function bashFiles(flag: "-f" | "-d"): string {
  return "compopt -o filenames 2> /dev/null; " +
    `mapfile -t COMPREPLY < <(compgen ${flag} -- "$cur"); return`;
}

function zshValue({ completion }: FlagOfPlace): string {
  if (completion === undefined) return ":";
  if (typeof completion !== "string") return `compadd ${completion.join(" ")}`;
  return ZSH_VALUES[completion];
}

function fishValue({ takesValue, completion }: FlagOfPlace): string {
  if (!takesValue) return "";
  if (completion === undefined) return "-x ";
  if (completion === "file") return "-r -F ";
  return typeof completion === "string"
    ? `-x ${FISH_VALUES[completion]} `
    : `-x -a ${fishQuote(completion.join(" "))} `;
}

function zshItem(
  { name, summary }: { readonly name: string; readonly summary: string },
): string {
  return bashQuote(summary === "" ? name : `${name}:${summary}`);
}

function bashQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
