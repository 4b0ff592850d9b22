import {
  containsPrefix,
  formatPrefix,
  overlaps,
  type Prefix,
} from "../../net/prefix.ts";
import type { NftTable } from "./nft_json.ts";
import { NFT_TABLE } from "./nft_plan.ts";
import type {
  AddressCondition,
  ChainRule,
  PacketChain,
} from "./packet_chain.ts";

/** Packets from a subnet to a network. */
export interface Flow {
  readonly from: Prefix;
  readonly to: Prefix;
}

/** A rule of others that rewrites the source of packets. */
export interface SourceRewrite {
  /** The rule with its chain, such as `ip nat POSTROUTING: oifname "eth0" masquerade`. */
  readonly rule: string;
  /** The destination network of the packets. */
  readonly to: string;
  /** Excepts the packets from the rules of its chain. */
  readonly command: string;
}

/**
 * The first rule of each table of others that rewrites packets of a flow, or
 * some of them. A rule that depends on facts unknown here, such as a mark, is
 * assumed not to.
 */
export function findRewrites(
  tables: readonly NftTable[],
  flows: readonly Flow[],
): SourceRewrite[] {
  return tables.flatMap(({ family, name, chains }) => {
    const table = `${family} ${name}`;
    if (table === NFT_TABLE) return [];
    const byName = new Map(chains.map((chain) => [chain.name, chain]));
    return chains.filter(isSourceNat).flatMap((chain) =>
      flows.filter((flow) => isOfFamily(family, flow)).flatMap((flow) => {
        const found = walk(chain, byName, flow);
        return typeof found === "string" ? [] : [{
          rule: `${table} ${found.rule}`,
          to: formatPrefix(flow.to),
          command: `nft insert rule ${table} ${chain.name} ${
            formatFlow(flow)
          } accept`,
        }];
      })
    );
  });
}

function formatFlow({ from, to }: Flow): string {
  const word = from.family === 4 ? "ip" : "ip6";
  return `${word} saddr ${formatPrefix(from)} ${word} daddr ${
    formatPrefix(to)
  }`;
}

/** Whether a chain can rewrite sources. */
export function isSourceNat({ base }: PacketChain): boolean {
  return base?.type === "nat" && base.hook === "postrouting";
}

type Outcome = { readonly rule: string } | "end" | "return" | "unknown";

// The kernel refuses tables with cycles of jumps.
function walk(
  chain: PacketChain,
  chains: ReadonlyMap<string, PacketChain>,
  flow: Flow,
): Outcome {
  for (const rule of chain.rules) {
    const applies = appliesTo(rule, flow);
    if (applies === "never" || !rule.action) continue;
    const outcome = outcomeOf(rule, { chain, chains, flow });
    if (typeof outcome !== "string") return outcome;
    if (outcome === "return" && rule.action.kind === "jump") continue;
    // The packets that do not match continue.
    if (applies === "sometimes") continue;
    return applies === "unknown" && outcome === "end" ? "unknown" : outcome;
  }
  return "return";
}

function outcomeOf(
  rule: ChainRule,
  { chain, chains, flow }: {
    readonly chain: PacketChain;
    readonly chains: ReadonlyMap<string, PacketChain>;
    readonly flow: Flow;
  },
): Outcome {
  const { action } = rule;
  switch (action?.kind) {
    case "rewrite":
      return { rule: `${chain.name}: ${rule.text}` };
    case "accept":
    case "drop":
      return "end";
    case "jump":
    case "goto": {
      const target = chains.get(action.target);
      return target ? walk(target, chains, flow) : "return";
    }
    default:
      return "return";
  }
}

/** Whether a rule matches all packets of a flow, some, none, or an unknown part. */
function appliesTo(
  { conditions = [], hasOtherConditions = false }: ChainRule,
  flow: Flow,
): "always" | "sometimes" | "never" | "unknown" {
  const all = conditions.map((condition) => meets(condition, flow));
  if (all.includes("never")) return "never";
  if (hasOtherConditions) return "unknown";
  return all.includes("sometimes") ? "sometimes" : "always";
}

function meets(
  { field, prefix, isNegated }: AddressCondition,
  { from, to }: Flow,
): "always" | "sometimes" | "never" {
  const side = field === "saddr" ? from : to;
  if (prefix.family !== side.family) return "never";
  if (!overlaps(prefix, side)) return isNegated ? "always" : "never";
  if (!containsPrefix(prefix, side)) return "sometimes";
  return isNegated ? "never" : "always";
}

function isOfFamily(family: string, { from }: Flow): boolean {
  return family === "inet" || (family === "ip") === (from.family === 4);
}
