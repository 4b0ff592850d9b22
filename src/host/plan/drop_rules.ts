import {
  containsPrefix,
  formatPrefix,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import { type HostInterfaces, uplinksOf } from "../../routes/plan/uplink.ts";
import { linkOfGateway } from "./host_plan.ts";
import type { NftTable } from "./nft_json.ts";
import { type ChainRule, isOwn, type PacketChain } from "./packet_chain.ts";

/** The hooks that packets of containers and calls of agents pass (nft(8), CHAINS). */
const HOOKS: readonly string[] = ["ingress", "prerouting", "input", "forward"]
  .concat("output", "postrouting", "egress");

/** The traffic that a host must let through. */
export interface DropQuery {
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** The cluster's networks. */
  readonly networks: readonly Prefix[];
  /** The subnets of all nodes: other programs may use the rest of a network. */
  readonly owned: readonly Prefix[];
  /** The interfaces of that traffic: bridges and uplinks. */
  readonly devices: readonly string[];
  /** The TCP ports at which agents call each other. */
  readonly ports: readonly number[];
}

/** A rule of others that drops packets of containers. */
export interface DropRule {
  /** The rule with its chain, such as `ip filter FORWARD: drop`. */
  readonly rule: string;
  /** The traffic that it drops: of containers, or calls of agents. */
  readonly traffic: "packets" | "calls";
  /**
   * Whether it drops all packets of a subnet and a network. Otherwise it drops
   * some, by conditions that are not understood here or on some addresses.
   */
  readonly isCertain: boolean;
  /** Whether it certainly drops the packets of some addresses of the networks. */
  readonly isPartial?: boolean;
  /** Deletes it, or accepts the packets before it. */
  readonly command: string;
  /** What the command destroys; missing for nothing. */
  readonly harm?: string;
}

/** The interfaces of packets of containers and of calls of agents: bridges and uplinks. */
export function trafficDevices(
  interfaces: HostInterfaces,
  subnets: readonly Prefix[],
): string[] {
  const { links } = interfaces;
  return [
    ...subnets.flatMap((subnet) => linkOfGateway(links, subnet)?.name ?? []),
    ...uplinksOf(interfaces).map(({ device }) => device),
    ...links.filter(({ kind, addresses, master }) =>
      kind !== "bridge" && addresses.length > 0 && master === undefined
    ).map(({ name }) => name),
  ];
}

const DELETES = "whoever added that rule loses it";

/** Whether a chain can drop packets, whatever its type. */
export function canDrop({ base }: PacketChain): boolean {
  return base !== undefined && HOOKS.includes(base.hook);
}

/**
 * The rules that drop packets between this node's subnets and the networks, or
 * calls of agents, and the policies that do. The policy of a chain at the
 * forward hook is another matter: the agent's accept rules come before it.
 */
export function findDrops(
  tables: readonly NftTable[],
  query: DropQuery,
): DropRule[] {
  return tables.flatMap((table) =>
    table.chains.filter(canDrop).flatMap((chain) => {
      const { hook } = chain.base!;
      return [
        ...findInChain(chain, { table, hook, query, depth: 0 }),
        ...policyOf(chain, { table, hook, query }),
      ];
    })
  );
}

/** The policy of a chain that drops what it does not accept. */
function policyOf(
  { name, base, rules }: PacketChain,
  { table, hook, query }: Pick<Place, "table" | "hook" | "query">,
): DropRule[] {
  if (base?.policy !== "drop" || hook === "forward") return [];
  const isAccepted = rules.some((rule) =>
    rule.action?.kind === "accept" &&
    matchOf(rule, table.family, query) === "all"
  );
  const [network] = query.networks.filter(({ family }) =>
    isOfFamily(table.family, family)
  );
  if (isAccepted || !network) return [];
  const word = network.family === 4 ? "ip" : "ip6";
  const from = formatPrefix(network);
  return [{
    rule: `${table.family} ${table.name} ${name}: policy drop`,
    traffic: "packets",
    isCertain: false,
    command: table.tool === undefined
      ? `nft insert rule ${table.family} ${table.name} ${name} ${word} saddr ${from} accept`
      : `${table.tool} -t ${table.name} -I ${name} -s ${from} -j ACCEPT`,
  }];
}

function isOfFamily(table: string, family: 4 | 6): boolean {
  return table === "ip" ? family === 4 : table !== "ip6" || family === 6;
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
    // The agent's own rules accept all packets that are forwarded.
    if (isOwn(rule) && hook === "forward") return found;
    if (isOwn(rule)) continue;
    const isOfCalls = rule.action?.kind === "drop" && dropsCalls(rule, query);
    const matches = isOfCalls ? "some" : matchOf(rule, table.family, query);
    if (matches === "none") continue;
    const { action } = rule;
    if (action?.kind === "drop") {
      // A drop of everything at the end is as good as a policy.
      const isPolicy = rule.verdict !== undefined && index === isLast &&
        chain.base !== undefined && hook === "forward" && index > 0;
      if (isPolicy) continue;
      found.push({
        rule: `${table.family} ${table.name} ${chain.name}: ${rule.text}`,
        traffic: isOfCalls ? "calls" : "packets",
        isCertain: matches === "all",
        isPartial: matches === "part",
        command: table.tool === undefined
          ? `nft delete rule ${table.family} ${table.name} ${chain.name} handle ${rule.id}`
          : `${table.tool} -t ${table.name} -D ${chain.name} ${rule.id}`,
        harm: DELETES,
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
  { subnets, networks, owned, devices }: DropQuery,
): "all" | "part" | "some" | "none" {
  const flows = subnets.flatMap((subnet) =>
    networks.filter((network) => network.family === subnet.family)
      .flatMap((network) => [[subnet, network], [network, subnet]] as const)
  ).filter(([{ family: number }]) => isOfFamily(family, number));
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
  const isOwned = (prefix: Prefix) =>
    owned.some((subnet) => overlaps(prefix, subnet));
  if (!rule.hasOtherConditions) {
    if (isAll) return "all";
    const isPart = (rule.conditions ?? []).every(({ prefix, isNegated }) =>
      !isNegated && isOwned(prefix)
    );
    return isPart ? "part" : "some";
  }
  const named = [...rule.text.matchAll(DEVICE)]
    .map((match) => (match[1] ?? match[2])!);
  if (named.some((name) => !devices.includes(name))) {
    return named.every((name) => !devices.includes(name)) ? "none" : "some";
  }
  const rest = rule.text.replaceAll(DEVICE, "").replaceAll(ADDRESS, "").trim();
  if (!PLAIN.test(rest)) return "some";
  const listed = addressesIn(rule.text);
  if (listed.length > 0) return listed.some(isOwned) ? "part" : "none";
  return named.length === 1 && isAll ? "all" : "some";
}

/** Conditions as nft and iptables print them: on an interface, on an address, and none. */
const DEVICE = /\b[io]ifname "([^"]+)" ?|(?<!\S)-[io] (\S+) ?/g;
const ADDRESS =
  /\bip6? [sd]addr (?:!= )?(?:\{[^}]*\}|\S+) ?|(?<!\S)(?:! )?-[sd] \S+ ?/g;
/** The sets of addresses that are not negated. */
const SETS = /\bip6? [sd]addr \{([^}]*)\}/g;
const PLAIN = /^(?:drop|reject\b.*|REJECT|-j (?:DROP|REJECT\b.*))$/;
/** Ports and ranges of ports of a rule, one or a set. */
const PORTS = /\b(?:tcp |--)(?:dports?|sports?) (\{[^}]*\}|[\d:,-]+)/g;

/** The addresses and prefixes in the sets of a rule; ranges are left out. */
function addressesIn(text: string): Prefix[] {
  return [...text.matchAll(SETS)].flatMap(([, set]) =>
    set!.split(",").flatMap((word) => {
      const prefix = word.trim();
      const bits = prefix.includes(":") ? 128 : 32;
      try {
        return [
          parsePrefix(prefix.includes("/") ? prefix : `${prefix}/${bits}`),
        ];
      } catch {
        return [];
      }
    })
  );
}

/** Whether a rule is for a port of the agents. */
function dropsCalls({ text }: ChainRule, { ports }: DropQuery): boolean {
  return [...text.matchAll(PORTS)].some(([, list]) =>
    [...list!.matchAll(/(\d+)(?:[-:](\d+))?/g)].some(([, first, last]) =>
      ports.some((port) =>
        port >= Number(first) && port <= Number(last ?? first)
      )
    )
  );
}
