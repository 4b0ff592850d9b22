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

/** A rule of others that gives packets another source. */
export interface SourceRewrite {
  /** The rule with its chain, such as `ip nat POSTROUTING: oifname "eth0" masquerade`. */
  readonly rule: string;
  /** The network to which the packets go. */
  readonly to: string;
}

/**
 * The first rule of each table of others that rewrites packets of a flow, or
 * some of them. Where that hangs on what is not known here, such as a mark, a
 * table is given the benefit of the doubt.
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
        return typeof found === "string"
          ? []
          : [{ rule: `${table} ${found.rule}`, to: formatPrefix(flow.to) }];
      })
    );
  });
}

/** Whether a chain is one in which sources are rewritten. */
export function isSourceNat({ base }: PacketChain): boolean {
  return base?.type === "nat" && base.hook === "postrouting";
}

type Outcome = { readonly rule: string } | "end" | "return" | "unknown";

// The kernel refuses tables in which jumps go round in circles.
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
    // Where some packets are dealt with, the others go on.
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

/** Whether a rule takes all packets of a flow, some, none, or nobody knows which. */
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
