import type { Family } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import {
  type ChainRule,
  dropIndex,
  isOwn,
  type PacketChain,
} from "./packet_chain.ts";

/**
 * The program that reads and changes the rules of a table. A table of iptables
 * is changed with iptables, which refuses to list a table with rules that it
 * could not have written itself.
 */
export type FilterTool =
  | "nft"
  | "iptables-nft"
  | "ip6tables-nft"
  | "iptables-legacy"
  | "ip6tables-legacy";

/** A chain that decides which packets this host forwards. Of several, each can drop. */
export interface ForwardFilter {
  readonly tool: FilterTool;
  /** `inet` filters both families. */
  readonly family: "ip" | "ip6" | "inet";
  readonly table: string;
  /** The base chain, at the hook `forward`. */
  readonly chain: PacketChain;
  /** All chains of the table, by name. */
  readonly chains: ReadonlyMap<string, PacketChain>;
}

/** A rule that accepts packets to be forwarded. */
export interface AcceptRule {
  readonly family: Family;
  readonly from?: Prefix;
  readonly to?: Prefix;
  /**
   * `reply`: only packets of connections that were accepted in the other
   * direction. `solicit`, `advert`: neighbour discovery (RFC 4861).
   */
  readonly direction: "in" | "out" | "reply" | keyof typeof DISCOVERY;
}

/** The types of ICMPv6 by which containers on one bridge find each other. */
const DISCOVERY = {
  solicit: { name: "nd-neighbor-solicit", type: 135 },
  advert: { name: "nd-neighbor-advert", type: 136 },
} as const;

/** Options of {@linkcode acceptRules}. */
export interface AcceptOptions {
  readonly subnets: readonly Prefix[];
  readonly networks: readonly Prefix[];
  /** Whether containers may also reach addresses outside the cluster's networks. */
  readonly masquerade: boolean;
}

/** A change of a filter's rules. */
export type ForwardChange =
  | {
    readonly kind: "add_rule";
    readonly filter: ForwardFilter;
    readonly rule: AcceptRule;
    /** The existing rule that it is inserted before; undefined for the end. */
    readonly before?: {
      readonly rule: ChainRule;
      /** Its position, from 1, at the time of the change. */
      readonly place: number;
    };
  }
  | {
    readonly kind: "delete_rule";
    readonly filter: ForwardFilter;
    readonly rule: ChainRule;
  };

/**
 * The rules for packets of this node's subnets: to and from the cluster's
 * networks; with `masquerade` to everywhere, with the replies, but never
 * connections from outside. For IPv6 also neighbour discovery.
 */
export function acceptRules(options: AcceptOptions): AcceptRule[] {
  const { subnets, networks, masquerade } = options;
  const rules = subnets.flatMap((subnet): AcceptRule[] => {
    const { family } = subnet;
    const near = networks.filter((network) => network.family === family);
    const inward = near.map((from) => ({
      family,
      from,
      to: subnet,
      direction: "in" as const,
    }));
    const outward = masquerade
      ? [
        { family, from: subnet, direction: "out" as const },
        { family, to: subnet, direction: "reply" as const },
      ]
      : near.map((to) => ({
        family,
        from: subnet,
        to,
        direction: "out" as const,
      }));
    return [...inward, ...outward];
  });
  // Where bridged packets are filtered, too (br_netfilter), as Docker has it.
  return subnets.some(({ family }) => family === 6)
    ? [...rules, ...DISCOVERY_RULES]
    : rules;
}

const DISCOVERY_RULES: readonly AcceptRule[] = [
  { family: 6, direction: "solicit" },
  { family: 6, direction: "advert" },
];

/** Why a filter drops packets that match no condition; undefined when it does not. */
export function dropReason(filter: ForwardFilter): string | undefined {
  const at = dropIndex(filter.chain, filter.chains);
  if (at === undefined) return undefined;
  const { text, verdict } = filter.chain.rules[at] ?? {};
  return verdict === undefined || verdict.kind === "return"
    ? "its policy is drop"
    : `its rule "${text}" drops the rest`;
}

/**
 * The changes that make a filter accept the wanted packets. The agent's rules
 * are the last ones before the rule or policy that drops the rest, so that an
 * operator's own refusals stay in force. Where nothing is dropped, they are
 * removed.
 */
export function planForward(
  filter: ForwardFilter,
  wanted: readonly AcceptRule[],
): ForwardChange[] {
  const { rules } = filter.chain;
  const at = dropIndex(filter.chain, filter.chains);
  const own = [...rules.entries()]
    .filter(([, rule]) => isOwn(rule));
  const missing: AcceptRule[] = [];
  const kept = new Set<ChainRule>();
  for (const rule of at === undefined ? [] : relevant(filter, wanted)) {
    const text = formatAcceptRule(filter.tool, rule);
    const found = own.filter(([, held]) => held.text === text);
    const [index, held] = found[0] ?? [-1, undefined];
    if (held && found.length === 1 && index < at!) kept.add(held);
    else missing.push(rule);
  }
  const stale = own.filter(([, rule]) => !kept.has(rule));
  const replaced = new Set(
    missing.map((rule) => formatAcceptRule(filter.tool, rule)),
  );
  const isReplaced = ([, rule]: [number, ChainRule]) => replaced.has(rule.text);
  const first = stale.filter(isReplaced);
  const place = at === undefined
    ? 0
    : at + 1 - first.filter(([index]) => index < at).length;
  const before = at === undefined ? undefined : rules[at];
  return [
    ...first.map(([, rule]) => deletion(filter, rule)),
    ...missing.map((rule, i): ForwardChange => ({
      kind: "add_rule",
      filter,
      rule,
      ...(before && { before: { rule: before, place: place + i } }),
    })),
    ...stale.filter((entry) => !isReplaced(entry))
      .map(([, rule]) => deletion(filter, rule)),
  ];
}

/** A rule without its comment, as its tool prints it. */
export function formatAcceptRule(tool: FilterTool, rule: AcceptRule): string {
  const { family, from, to, direction } = rule;
  const isReply = direction === "reply";
  if (direction === "solicit" || direction === "advert") {
    const { name, type } = DISCOVERY[direction];
    return tool === "nft"
      ? `icmpv6 type ${name} accept`
      : `-p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j ACCEPT`;
  }
  if (tool === "nft") {
    const ip = family === 4 ? "ip" : "ip6";
    return [
      from && `${ip} saddr ${formatPrefix(from)}`,
      to && `${ip} daddr ${formatPrefix(to)}`,
      isReply && "ct state established,related",
      "accept",
    ].filter(Boolean).join(" ");
  }
  return [
    from && `-s ${formatPrefix(from)}`,
    to && `-d ${formatPrefix(to)}`,
    isReply && "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-j ACCEPT",
  ].filter(Boolean).join(" ");
}

function relevant(
  { family }: ForwardFilter,
  wanted: readonly AcceptRule[],
): AcceptRule[] {
  return wanted.filter((rule) =>
    family === "inet" || (family === "ip") === (rule.family === 4)
  );
}

function deletion(filter: ForwardFilter, rule: ChainRule): ForwardChange {
  return { kind: "delete_rule", filter, rule };
}
