import { acceptRules, dropReason, planForward } from "../plan/forward_plan.ts";
import { formatFilter, formatOperation } from "../plan/host_command.ts";
import {
  desiredMasquerade,
  type HostDesired,
  type HostState,
} from "../plan/host_plan.ts";
import { masqueradeState, NFT_TABLE } from "../plan/nft_plan.ts";
import type { NftTable } from "../plan/nft_json.ts";
import { isOwn } from "../plan/packet_chain.ts";
import { findRewrites } from "../plan/source_nat.ts";
import {
  AS_ROOT,
  type Check,
  command,
  fixOf,
  passed,
  problemOf,
  shell,
} from "./check.ts";

/** Whether the packet filters can be read. */
export function checkNft(
  { masquerade, subnets }: HostDesired,
  state: HostState,
): Check[] {
  const { tables, filters, problems, isNetAdmin } = state;
  const isNeeded = masquerade && subnets.length > 0;
  const ofIptables = problems.filter(({ tool }) => tool.includes("tables"))
    .map(({ tool, message }): Check => ({
      name: "packet filter",
      status: "warning",
      found: message,
      means: "whether it drops what containers send is not known",
      fix: isNetAdmin ? `install ${tool}` : AS_ROOT,
    }));
  if (tables && filters) {
    return ofIptables.length > 0
      ? ofIptables
      : [passed("packet filter", "nft reads this host's rules")];
  }
  return [{
    name: "packet filter",
    status: isNeeded ? "failed" : "warning",
    found: problemOf(state, "nft"),
    means: isNeeded
      ? "containers do not reach what is outside of the cluster's networks"
      : "whether a packet filter drops what containers send is not known",
    fix: isNetAdmin ? "install nftables" : AS_ROOT,
  }, ...ofIptables];
}

/** Whether a packet filter drops packets that this host should forward. */
export function checkForwardPolicy(
  desired: HostDesired,
  { filters }: HostState,
): Check[] {
  if (!filters || desired.subnets.length === 0) return [];
  const isAllowed = desired.forwardRules !== false;
  const wanted = acceptRules(desired);
  const checks = filters.flatMap((filter): Check[] => {
    const reason = dropReason(filter);
    const changes = planForward(filter, wanted);
    const own = filter.chain.rules.filter(isOwn);
    const name = formatFilter(filter);
    if (reason === undefined && own.length === 0) return [];
    const found = reason === undefined
      ? `"${name}" drops nothing any more, and has ${
        count(own.length)
      } of the agent`
      : `"${name}": ${reason}`;
    if (changes.length === 0) {
      const met = `${found}, met with ${count(own.length)} of the agent`;
      return [{ ...passed("forward policy", met), isNotable: true }];
    }
    return [{
      name: "forward policy",
      status: reason === undefined || !isAllowed ? "warning" : "failed",
      found,
      means: reason === undefined
        ? "they are not needed"
        : isAllowed
        ? "containers on different hosts do not reach each other"
        : "the agent adds no rules (--forward-rules off): containers on different hosts do not reach each other unless rules of yours accept them",
      fix: command(changes.map(formatOperation)),
    }];
  });
  return checks.length > 0
    ? checks
    : [passed("forward policy", "nothing drops what is forwarded")];
}

function count(rules: number): string {
  return rules === 1 ? "1 rule" : `${rules} rules`;
}

/** Whether the host masquerades traffic that leaves the cluster's networks, and no other. */
export function checkMasquerade(
  desired: HostDesired,
  state: HostState,
): Check[] {
  if (!state.tables) return [];
  const rules = desiredMasquerade(desired);
  const table = masqueradeState(state.tables, rules);
  const isWanted = rules.length > 0;
  if (isWanted ? table === "in place" : table === "absent") {
    return [
      passed(
        "masquerade",
        isWanted
          ? `"${NFT_TABLE}" is in place; the cluster's networks are exempted`
          : "not asked for",
      ),
    ];
  }
  if (table === "foreign") {
    return [{
      name: "masquerade",
      status: isWanted ? "failed" : "warning",
      found: `there is a table "${NFT_TABLE}" that the agent has not made`,
      means: "the agent leaves it as it is",
      fix: command(
        shell`nft delete table ${NFT_TABLE.split(" ")}`,
        "it deletes all rules of that table",
      ),
    }];
  }
  return [{
    name: "masquerade",
    status: isWanted ? "failed" : "warning",
    found: table === "absent"
      ? `there is no table "${NFT_TABLE}"`
      : `"${NFT_TABLE}" is not as it should be`,
    means: isWanted
      ? "containers do not reach what is outside of the cluster's networks, or are seen there with addresses of their own"
      : "containers are masqueraded, which was not asked for",
    fix: fixOf("masquerade", desired, state),
  }];
}

/** Whether rules of others rewrite the source of packets between hosts. */
export function checkSourceNat(
  { subnets, networks }: HostDesired,
  tables: readonly NftTable[],
): Check[] {
  const flows = subnets.flatMap((from) =>
    networks.filter(({ family }) => family === from.family)
      .map((to) => ({ from, to }))
  );
  const rewrites = findRewrites(tables, flows);
  if (rewrites.length === 0) {
    return [
      passed(
        "source address",
        "no other rule rewrites what goes between hosts",
      ),
    ];
  }
  return rewrites.map(({ rule, to, command: text }): Check => ({
    name: "source address",
    status: "warning",
    found: `"${rule}" rewrites packets that go to ${to}`,
    means:
      "containers on other hosts see this host's address in place of the container's; a CNI plugin that made the rule makes it again without \"ipMasq\": false in its configuration",
    fix: command(text),
  }));
}
