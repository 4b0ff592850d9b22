import type { Prefix } from "../../net/prefix.ts";

/** What becomes of every packet that reaches a rule without conditions. */
export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "return" }
  | { readonly kind: "jump"; readonly target: string }
  | { readonly kind: "goto"; readonly target: string };

/** A rule of a packet filter. */
export interface ChainRule {
  /** How its tool names it: the handle for nft, the rule itself for iptables. */
  readonly id: string;
  /** The rule as its tool prints it, without counters and comment. */
  readonly text: string;
  /** Empty for none. */
  readonly comment: string;
  /** Undefined when the rule has conditions, or decides nothing. */
  readonly verdict?: Verdict;
  /** What it does where its conditions hold; known of what nft lists. */
  readonly action?: Verdict | { readonly kind: "rewrite" };
  readonly conditions?: readonly AddressCondition[];
  /** Whether it has conditions besides those on addresses. */
  readonly hasOtherConditions?: boolean;
}

/** A condition on the source or the destination of packets. */
export interface AddressCondition {
  readonly field: "saddr" | "daddr";
  readonly prefix: Prefix;
  readonly isNegated: boolean;
}

/** A chain of a packet filter. */
export interface PacketChain {
  readonly name: string;
  /** Where the kernel calls it; undefined for one that is reached by jumps alone. */
  readonly base?: BaseChain;
  readonly rules: readonly ChainRule[];
}

/** How the kernel calls a base chain (nft(8), CHAINS). */
export interface BaseChain {
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
  readonly policy: "accept" | "drop";
}

/** The comment by which the agent knows its own rules; one may have a word behind it. */
export const RULE_COMMENT = "stellar-net";

/** Whether a rule is the agent's own. */
export function isOwn({ comment }: ChainRule): boolean {
  return comment === RULE_COMMENT || comment.startsWith(`${RULE_COMMENT} `);
}

/** What every packet meets that no rule with conditions takes. */
export type Fate = "accept" | "drop" | "return";

/**
 * What a chain does with a packet that no rule with conditions takes.
 *
 * @param chains all chains of the table, by name
 */
export function fateOf(
  chain: PacketChain,
  chains: ReadonlyMap<string, PacketChain>,
): Fate {
  for (const { verdict } of chain.rules) {
    const fate = verdict && fateOfVerdict(verdict, chains);
    // A jump comes back where its target decides nothing; the others end here.
    if (fate && !(fate === "return" && verdict?.kind === "jump")) return fate;
  }
  return "return";
}

/**
 * Index of the rule of a base chain at which all is dropped that no rule with
 * conditions took before: the number of rules when the policy does it,
 * undefined when nothing does.
 */
export function dropIndex(
  chain: PacketChain,
  chains: ReadonlyMap<string, PacketChain>,
): number | undefined {
  const isDroppedAtEnd = chain.base?.policy === "drop";
  for (const [index, { verdict }] of chain.rules.entries()) {
    const fate = verdict && fateOfVerdict(verdict, chains);
    if (fate === "drop") return index;
    if (fate === "accept") return undefined;
    // What returns from a base chain, or goes elsewhere in vain, meets the policy.
    if (fate === "return" && verdict?.kind !== "jump") {
      return isDroppedAtEnd ? index : undefined;
    }
  }
  return isDroppedAtEnd ? chain.rules.length : undefined;
}

// The kernel refuses tables in which jumps go round in circles.
function fateOfVerdict(
  verdict: Verdict,
  chains: ReadonlyMap<string, PacketChain>,
): Fate {
  if (verdict.kind !== "jump" && verdict.kind !== "goto") return verdict.kind;
  const target = chains.get(verdict.target);
  return target ? fateOf(target, chains) : "return";
}
