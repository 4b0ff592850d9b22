import { parsePrefix } from "../../net/prefix.ts";
import type {
  AddressCondition,
  ChainRule,
  PacketChain,
  Verdict,
} from "./packet_chain.ts";

/** The chains in the output of `iptables -S` (iptables(8)). Built-in chains have a base. */
export function parseIptablesRules(text: string): PacketChain[] {
  const chains = new Map<string, { policy?: string; rules: ChainRule[] }>();
  for (const line of text.split("\n")) {
    const [command, name, ...words] = splitWords(line);
    if (name === undefined) continue;
    if (command === "-P") {
      chains.set(name, { policy: words[0] ?? "", rules: [] });
    }
    if (command === "-N") chains.set(name, { rules: [] });
    if (command === "-A") chains.get(name)?.rules.push(toRule(words));
  }
  return [...chains].map(([name, { policy, rules }]) => ({
    name,
    ...(policy !== undefined && {
      base: {
        type: "filter",
        hook: name.toLowerCase(),
        priority: 0,
        policy: policy === "ACCEPT" ? "accept" : "drop",
      },
    }),
    rules,
  }));
}

/**
 * The chains of a table of iptables-nft, read with both programs: the verdicts
 * as nft prints them (iptables prints a rule with unknown conditions as one
 * without any), everything else as iptables prints it (nft omits its comments).
 *
 * @returns undefined when the two print different rules
 */
export function mergeRules(
  byNft: readonly PacketChain[],
  byIptables: readonly PacketChain[],
): PacketChain[] | undefined {
  const merged: PacketChain[] = [];
  for (const chain of byNft) {
    const twin = byIptables.find(({ name }) => name === chain.name);
    if (twin?.rules.length !== chain.rules.length) return undefined;
    const rules = twin.rules.map(({ id, text, comment }, i): ChainRule => {
      const { verdict } = chain.rules[i]!;
      return { id, text, comment, ...(verdict && { verdict }) };
    });
    merged.push({ ...chain, rules });
  }
  return merged;
}

/**
 * Splits a line of iptables into words, which may be quoted. A quote that is not
 * closed continues to the end.
 */
export function splitWords(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\[^])*)"?|[^\s"]+/g)].map((match) =>
    match[1]?.replace(/\\([^])/g, "$1") ?? match[0]
  );
}

/** Joins words with the quotes that iptables and a shell need. */
export function joinWords(words: readonly string[]): string {
  return words.map((word) =>
    /^[\w.,:/@%+=!-]+$/.test(word)
      ? word
      : `"${word.replace(/["\\$`]/g, "\\$&")}"`
  ).join(" ");
}

function toRule(words: readonly string[]): ChainRule {
  const { comment, rest } = takeComment(words);
  const verdict = verdictOf(rest);
  return {
    id: joinWords(words),
    text: joinWords(rest),
    comment,
    ...(verdict && { verdict }),
  };
}

/** The chains in the output of `iptables -S`, with the action and the conditions of each rule. */
export function parseIptablesConditions(text: string): PacketChain[] {
  return parseIptablesRules(text).map(withConditions);
}

/** A chain of iptables with the action and the conditions of each rule. */
export function withConditions(chain: PacketChain): PacketChain {
  return {
    ...chain,
    rules: chain.rules.map((rule) => ({
      ...rule,
      ...conditionsOf(splitWords(rule.text)),
    })),
  };
}

function conditionsOf(
  words: readonly string[],
): Pick<ChainRule, "action" | "conditions" | "hasOtherConditions"> {
  const conditions: AddressCondition[] = [];
  const others: string[] = [];
  let at = 0;
  for (; at < words.length && words[at] !== "-j" && words[at] !== "-g"; at++) {
    const isNegated = words[at] === "!";
    const option = words[isNegated ? at + 1 : at];
    if (option !== "-s" && option !== "-d") {
      others.push(words[at]!);
      continue;
    }
    at += isNegated ? 2 : 1;
    const field = option === "-s" ? "saddr" : "daddr";
    try {
      const prefix = parsePrefix(words[at] ?? "");
      conditions.push({ field, prefix, isNegated });
    } catch {
      // A mask such as 255.0.255.0 is no prefix.
      others.push(words[at] ?? "");
    }
  }
  const action = verdictOf(words.slice(at, at + 2));
  return {
    ...action && { action },
    conditions,
    hasOtherConditions: others.length > 0,
  };
}

function takeComment(
  words: readonly string[],
): { comment: string; rest: readonly string[] } {
  const at = words.findIndex((word, i) =>
    word === "-m" && words[i + 1] === "comment" &&
    words[i + 2] === "--comment"
  );
  if (at < 0) return { comment: "", rest: words };
  return {
    comment: words[at + 3] ?? "",
    rest: [...words.slice(0, at), ...words.slice(at + 4)],
  };
}

function verdictOf(words: readonly string[]): Verdict | undefined {
  const [option, target] = words;
  if (target === undefined) return undefined;
  if (option === "-j" && target === "REJECT") return { kind: "drop" };
  if (words.length > 2) return undefined;
  if (option === "-g") return { kind: "goto", target };
  if (option !== "-j") return undefined;
  switch (target) {
    case "ACCEPT":
      return { kind: "accept" };
    case "DROP":
      return { kind: "drop" };
    case "RETURN":
      return { kind: "return" };
    // A built-in target is not a chain: fateOf() finds none of that name.
    default:
      return { kind: "jump", target };
  }
}
