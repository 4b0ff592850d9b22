import { formatAddress } from "../../net/address.ts";
import type { InterfaceAddress } from "../../net/prefix.ts";
import {
  type AcceptRule,
  formatAcceptRule,
  type ForwardChange,
  type ForwardFilter,
} from "./forward_plan.ts";
import type { HostOperation } from "./host_plan.ts";
import { joinWords, splitWords } from "./iptables_rules.ts";
import { formatTableScript, NFT_TABLE } from "./nft_plan.ts";
import { RULE_COMMENT } from "./packet_chain.ts";

/** A program with its arguments and its input. */
export interface HostCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly stdin?: string;
}

/** Limit on the wait of iptables for another iptables, in seconds. */
const LOCK_WAIT_S = "5";

/** The command that carries out an operation. */
export function hostCommand(operation: HostOperation): HostCommand {
  switch (operation.kind) {
    case "create_bridge": {
      const { name, macAddress } = operation;
      const mac = ["address", macAddress];
      return ip("link", "add", "name", name, ...mac, "type", "bridge");
    }
    case "delete_bridge":
      return ip("link", "delete", "dev", operation.name, "type", "bridge");
    case "set_up":
      return ip("link", "set", "dev", operation.name, "up");
    case "set_mtu": {
      const { name, mtuBytes } = operation;
      return ip("link", "set", "dev", name, "mtu", String(mtuBytes));
    }
    case "add_address": {
      const { name, address } = operation;
      // A bridge without containers has no carrier. Duplicate address detection
      // would not end, and the address not be used.
      const flags = address.address.family === 6 ? ["nodad"] : [];
      return ip("address", "add", cidr(address), "dev", name, ...flags);
    }
    case "delete_address": {
      const { name, address } = operation;
      return ip("address", "delete", cidr(address), "dev", name);
    }
    case "set_sysctl":
      return {
        program: "tee",
        args: [`/proc/sys/${operation.path}`],
        stdin: `${operation.value}\n`,
      };
    case "replace_table":
      return {
        program: "nft",
        args: ["-f", "-"],
        stdin: `${formatTableScript(operation.rules, "\n")}\n`,
      };
    case "delete_table":
      return nft(`delete table ${NFT_TABLE}`);
    case "add_rule":
    case "delete_rule":
      return operation.filter.tool === "nft"
        ? nftRuleCommand(operation)
        : iptablesCommand(operation);
  }
}

/** The operation as an operator would type it. */
export function formatOperation(operation: HostOperation): string {
  switch (operation.kind) {
    case "set_sysctl":
      return `sysctl -w ${operation.path}=${operation.value}`;
    case "replace_table":
      return `nft '${formatTableScript(operation.rules, " ")}'`;
    default: {
      const { program, args } = hostCommand(operation);
      if (program === "nft") return `nft '${args.join(" ")}'`;
      return `${program} ${joinWords(args)}`;
    }
  }
}

/** Name of a filter's chain for people, such as `ip filter FORWARD`. */
export function formatFilter(filter: ForwardFilter): string {
  const name = `${filter.family} ${filter.table} ${filter.chain.name}`;
  return filter.tool.endsWith("-legacy") ? `${name} (iptables-legacy)` : name;
}

function ip(...args: string[]): HostCommand {
  return { program: "ip", args };
}

/** nft joins its arguments and reads them as one line of a script. */
function nft(line: string): HostCommand {
  return { program: "nft", args: [line] };
}

function nftRuleCommand(change: ForwardChange): HostCommand {
  const { family, table, chain } = change.filter;
  const at = `${family} ${table} ${chain.name}`;
  if (change.kind === "delete_rule") {
    return nft(`delete rule ${at} handle ${change.rule.id}`);
  }
  const rule = `${formatAcceptRule("nft", change.rule)} comment "${
    commentOf(change.rule)
  }"`;
  return nft(
    change.before
      ? `insert rule ${at} handle ${change.before.rule.id} ${rule}`
      : `add rule ${at} ${rule}`,
  );
}

function iptablesCommand(change: ForwardChange): HostCommand {
  const { tool, table, chain } = change.filter;
  const args = ["-w", LOCK_WAIT_S, "-t", table];
  if (change.kind === "delete_rule") {
    const spec = splitWords(change.rule.id);
    return { program: tool, args: [...args, "-D", chain.name, ...spec] };
  }
  const words = formatAcceptRule(tool, change.rule).split(" ");
  // iptables prints the comment as the last of the conditions.
  const rule = [
    ...words.slice(0, -2),
    ...["-m", "comment", "--comment", commentOf(change.rule)],
    ...words.slice(-2),
  ];
  const where = change.before
    ? ["-I", chain.name, String(change.before.place)]
    : ["-A", chain.name];
  return { program: tool, args: [...args, ...where, ...rule] };
}

/**
 * ip6tables-nft ignores the lengths of prefixes when it looks for the rule to
 * delete, so the rules must differ in something else, too.
 */
function commentOf({ direction }: AcceptRule): string {
  return `${RULE_COMMENT} ${direction}`;
}

function cidr({ address, prefix }: InterfaceAddress): string {
  return `${formatAddress(address)}/${prefix.length}`;
}
