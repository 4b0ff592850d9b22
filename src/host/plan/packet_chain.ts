import type { Prefix } from "../../net/prefix.ts";

/** The verdict of a rule on the packets that match it. */
export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "return" }
  | { readonly kind: "jump"; readonly target: string }
  | { readonly kind: "goto"; readonly target: string };

/** A rule of a packet filter. */
export interface ChainRule {
  /** The handle for nft; the rule itself for iptables. */
  readonly id: string;
  /** The rule as its tool prints it, without counters and comment. */
  readonly text: string;
  /** Empty for none. */
  readonly comment: string;
  /** Undefined when the rule has conditions, or no verdict. */
  readonly verdict?: Verdict;
  /** What it does with packets that match; known only from nft. */
  readonly action?: Verdict | { readonly kind: "rewrite" };
  readonly conditions?: readonly AddressCondition[];
  /** Whether it has conditions on more than addresses. */
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
  /** Undefined for a chain that only jumps reach. */
  readonly base?: BaseChain;
  readonly rules: readonly ChainRule[];
}

/** The attributes of a base chain, which the kernel calls (nft(8), CHAINS). */
export interface BaseChain {
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
  readonly policy: "accept" | "drop";
}

/** The comment of the agent's own rules; a word may follow it. */
export const RULE_COMMENT = "stellar-net";

/** Whether a rule is the agent's own. */
export function isOwn({ comment }: ChainRule): boolean {
  return comment === RULE_COMMENT || comment.startsWith(`${RULE_COMMENT} `);
}

/** The fate of a packet that matches no condition. */
export type Fate = "accept" | "drop" | "return";

/**
 * What a chain does with a packet that matches no condition.
 *
 * @param chains all chains of the table, by name
 */
export function fateOf(
  chain: PacketChain,
  chains: ReadonlyMap<string, PacketChain>,
): Fate {
  for (const { verdict } of chain.rules) {
    const fate = verdict && fateOfVerdict(verdict, chains);
    // A jump returns when its target has no verdict; every other match ends here.
    if (fate && !(fate === "return" && verdict?.kind === "jump")) return fate;
  }
  return "return";
}

/**
 * Index of the rule of a base chain that drops all packets that matched no
 * condition before: the number of rules if the policy drops them, undefined if
 * nothing does.
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
    // A packet that returns from a base chain meets the policy.
    if (fate === "return" && verdict?.kind !== "jump") {
      return isDroppedAtEnd ? index : undefined;
    }
  }
  return isDroppedAtEnd ? chain.rules.length : undefined;
}

// The kernel refuses tables with cycles of jumps.
function fateOfVerdict(
  verdict: Verdict,
  chains: ReadonlyMap<string, PacketChain>,
): Fate {
  if (verdict.kind !== "jump" && verdict.kind !== "goto") return verdict.kind;
  const target = chains.get(verdict.target);
  return target ? fateOf(target, chains) : "return";
}
