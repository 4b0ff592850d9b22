import {
  type DropRule,
  findDrops,
  trafficDevices,
} from "../plan/drop_rules.ts";
import type { HostDesired, HostState } from "../plan/host_plan.ts";
import { withConditions } from "../plan/iptables_rules.ts";
import type { NftTable } from "../plan/nft_json.ts";
import { type Check, command } from "./check.ts";

/**
 * The check of a rule that drops packets of containers or calls of agents.
 *
 * @param isCut whether calls between this agent and others fail
 */
export function describeDrop(
  { rule, isCertain, isPartial, traffic, command: text, harm }: DropRule,
  { isCut }: { readonly isCut: boolean },
): Check {
  const fix = command(text, harm);
  const name = "packet filter";
  if (traffic === "calls") {
    return {
      name,
      status: isCut ? "failed" : "warning",
      found: `"${rule}" drops calls of agents`,
      means: "agents behind it do not reach each other",
      fix,
    };
  }
  return {
    name,
    status: "failed",
    found: isCertain
      ? `"${rule}" drops packets of containers`
      : isPartial
      ? `"${rule}" drops packets of some containers`
      : `"${rule}" may be what drops packets of containers`,
    means: "containers here and there do not reach each other",
    fix,
  };
}

/**
 * The rules that certainly drop packets of containers, in the tables that filter
 * forwarded packets. Returns only faults.
 */
export function checkForwardDrops(
  { subnets, networks }: HostDesired,
  { filters = [], interfaces }: HostState,
): Check[] {
  if (!interfaces || subnets.length === 0) return [];
  const tables = new Map(
    filters.map(({ tool, family, table, chains }): [string, NftTable] => {
      const all = [...chains.values()];
      const of = tool === "nft"
        ? { chains: all }
        : { tool, chains: all.map(withConditions) };
      return [`${tool} ${family} ${table}`, { family, name: table, ...of }];
    }),
  );
  const drops = findDrops([...tables.values()], {
    ...{ subnets, networks, owned: subnets, ports: [] },
    devices: trafficDevices(interfaces, subnets),
  });
  return drops.filter(({ isCertain }) => isCertain)
    .map((drop) => describeDrop(drop, { isCut: false }));
}
