import { containsPrefix, overlaps, type Prefix } from "../../net/prefix.ts";
import type { NftTable } from "./nft_json.ts";
import { type ChainRule, isOwn, type PacketChain } from "./packet_chain.ts";

/** The hooks that packets of containers pass (nft(8), CHAINS). */
export const HOOKS = ["prerouting", "input", "forward", "output"] as const;

/** The traffic that a host must let through. */
export interface DropQuery {
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** The cluster's networks. */
  readonly networks: readonly Prefix[];
  /** The interfaces of that traffic: bridges and uplinks. */
  readonly devices: readonly string[];
}

/** A rule of others that drops packets of containers. */
export interface DropRule {
  /** The rule with its chain, such as `ip filter FORWARD: drop`. */
  readonly rule: string;
  readonly hook: string;
  /**
   * Whether it drops all packets of a subnet and a network. Otherwise it drops
   * some, by conditions that are not understood here or on some addresses.
   */
  readonly isCertain: boolean;
  /** Deletes it. */
  readonly command: string;
}

/** Whether a chain can drop packets of containers. */
export function canDrop({ base }: PacketChain): boolean {
  return base?.type === "filter" &&
    (HOOKS as readonly string[]).includes(base.hook);
}

/**
 * The rules that drop packets between this node's subnets and the networks.
 * Policies are another matter: the agent's accept rules come before them.
 */
export function findDrops(
  tables: readonly NftTable[],
  query: DropQuery,
): DropRule[] {
  return tables.flatMap((table) =>
    table.chains.filter(canDrop).flatMap((chain) =>
      findInChain(chain, { table, hook: chain.base!.hook, query, depth: 0 })
    )
  );
}

interface Place {
  readonly table: NftTable;
  readonly hook: string;
  readonly query: DropQuery;
  readonly depth: number;
}

/** The kernel allows 16 nested jumps (nf_tables). */
const MAX_DEPTH = 16;

function findInChain(chain: PacketChain, place: Place): DropRule[] {
  const { table, hook, query, depth } = place;
  const found: DropRule[] = [];
  const isLast = chain.rules.length - 1;
  for (const [index, rule] of chain.rules.entries()) {
    const matches = matchOf(rule, table.family, query);
    if (matches === "none" || isOwn(rule)) continue;
    const { action } = rule;
    if (action?.kind === "drop") {
      // A drop of everything at the end is as good as a policy.
      const isPolicy = rule.verdict !== undefined && index === isLast &&
        chain.base !== undefined && hook === "forward" && index > 0;
      if (isPolicy) continue;
      found.push({
        rule: `${table.family} ${table.name} ${chain.name}: ${rule.text}`,
        hook,
        isCertain: matches === "all",
        command:
          `nft delete rule ${table.family} ${table.name} ${chain.name} handle ${rule.id}`,
      });
    }
    if (action?.kind === "accept" && matches === "all") return found;
    if (
      (action?.kind === "jump" || action?.kind === "goto") && depth < MAX_DEPTH
    ) {
      const target = table.chains.find(({ name }) => name === action.target);
      if (!target) continue;
      const inner = findInChain(target, { ...place, depth: depth + 1 });
      found.push(...inner.map((drop) => ({
        ...drop,
        isCertain: drop.isCertain && matches === "all",
      })));
    }
  }
  return found;
}

/** Which packets between subnets and networks a rule matches. */
function matchOf(
  rule: ChainRule,
  family: string,
  { subnets, networks, devices }: DropQuery,
): "all" | "some" | "none" {
  const flows = subnets.flatMap((subnet) =>
    networks.filter((network) => network.family === subnet.family)
      .flatMap((network) => [[subnet, network], [network, subnet]] as const)
  ).filter(([{ family: number }]) =>
    family === "inet" || (family === "ip") === (number === 4)
  );
  const results = flows.map(([from, to]) => {
    const parts = (rule.conditions ?? []).map(
      ({ field, prefix, isNegated }) => {
        const side = field === "saddr" ? from : to;
        if (prefix.family !== side.family) return "none";
        if (!overlaps(prefix, side)) return isNegated ? "all" : "none";
        if (!containsPrefix(prefix, side)) return "some";
        return isNegated ? "none" : "all";
      },
    );
    if (parts.includes("none")) return "none";
    return parts.includes("some") ? "some" : "all";
  });
  if (results.every((result) => result === "none")) return "none";
  const isAll = results.includes("all");
  if (!rule.hasOtherConditions) return isAll ? "all" : "some";
  const named = [...rule.text.matchAll(/\b[io]ifname "([^"]+)"/g)]
    .map((match) => match[1]!);
  if (named.some((name) => !devices.includes(name))) {
    return named.every((name) => !devices.includes(name)) ? "none" : "some";
  }
  const rest = rule.text.replaceAll(/\b[io]ifname "[^"]+" ?/g, "")
    .replaceAll(/\bip6? [sd]addr (?:!= )?\S+ ?/g, "").trim();
  const isPlain = /^(?:drop|reject\b.*)$/.test(rest) && named.length === 1;
  return isPlain && isAll ? "all" : "some";
}
