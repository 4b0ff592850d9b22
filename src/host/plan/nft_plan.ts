import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import type { NftTable } from "./nft_json.ts";
import { isOwn, type PacketChain, RULE_COMMENT } from "./packet_chain.ts";

/** The one table of nftables that is the agent's own: `inet stellar-net`. */
export const NFT_TABLE = "inet stellar-net";

const CHAIN = "postrouting";
const BASE = "type nat hook postrouting priority srcnat; policy accept;";
const SRCNAT_PRIORITY = 100;
const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/** Options of {@linkcode masqueradeRules}. */
export interface MasqueradeOptions {
  /** The subnets of this node: only their traffic is masqueraded. */
  readonly subnets: readonly Prefix[];
  /** The cluster's networks; traffic to them keeps its source. */
  readonly networks: readonly Prefix[];
  /** Name of this host's bridge; traffic to it keeps its source. */
  readonly bridge?: string;
}

/** The state of the agent's table. `foreign`: it has rules, and none is the agent's. */
export type MasqueradeState = "absent" | "in place" | "drifted" | "foreign";

/**
 * The rules, in order and as nft prints them, that masquerade traffic of this
 * node's subnets when it leaves the cluster's networks. Empty: no masquerading.
 */
export function masqueradeRules(options: MasqueradeOptions): string[] {
  const { subnets, networks, bridge } = options;
  const rules = subnets.flatMap((subnet) => {
    const ip = subnet.family === 4 ? "ip" : "ip6";
    const from = `${ip} saddr ${formatPrefix(subnet)}`;
    return [
      ...networks.filter(({ family }) => family === subnet.family)
        .map((network) =>
          `${from} ${ip} daddr ${formatPrefix(network)} return`
        ),
      `${from} ${ip} daddr ${MULTICAST[subnet.family]} return`,
      // Otherwise connections that start at once sometimes get the same port.
      `${from} masquerade fully-random`,
    ];
  });
  return rules.length === 0 || bridge === undefined
    ? rules
    : [`oifname "${bridge}" return`, ...rules];
}

/**
 * The script that replaces the table in one transaction: lines for `nft -f -`,
 * or one line for `nft` itself.
 */
export function formatTableScript(
  rules: readonly string[],
  separator: "\n" | " ",
): string {
  return [
    // Deleting a missing table would fail; adding an existing one does not.
    `add table ${NFT_TABLE};`,
    `delete table ${NFT_TABLE};`,
    `table ${NFT_TABLE} {`,
    `chain ${CHAIN} {`,
    BASE,
    ...rules.map((rule) => `${rule} comment "${RULE_COMMENT}";`),
    "}; }",
  ].join(separator);
}

/** Compares the table with the rules that it should have. */
export function masqueradeState(
  tables: readonly NftTable[],
  rules: readonly string[],
): MasqueradeState {
  const table = tables.find(({ family, name }) =>
    `${family} ${name}` === NFT_TABLE
  );
  if (!table) return "absent";
  const [chain, ...others] = table.chains;
  if (others.length === 0 && chain && isInPlace(chain, rules)) {
    return "in place";
  }
  const held = table.chains.flatMap((c) => c.rules);
  return held.length === 0 || held.some(isOwn) ? "drifted" : "foreign";
}

function isInPlace(chain: PacketChain, rules: readonly string[]): boolean {
  const { name, base } = chain;
  return name === CHAIN && base?.type === "nat" &&
    base.hook === "postrouting" && base.priority === SRCNAT_PRIORITY &&
    base.policy === "accept" && chain.rules.length === rules.length &&
    chain.rules.every((rule, i) =>
      rule.text === rules[i] && rule.comment === RULE_COMMENT
    );
}
