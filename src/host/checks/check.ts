import { joinWords } from "../plan/iptables_rules.ts";
import { formatOperation } from "../plan/host_command.ts";
import {
  type HostDesired,
  type HostOperation,
  type HostState,
  planHost,
} from "../plan/host_plan.ts";

/** The result of a check: a finding, its meaning, and its fix. */
export interface Check {
  /** Short, such as "forwarding". Several checks may have one name. */
  readonly name: string;
  /** `warning`: it works, or is not needed now. `failed`: it does not work. */
  readonly status: "ok" | "warning" | "failed";
  /** What is true now. */
  readonly found: string;
  /** The consequence for containers. Empty when the check passed. */
  readonly means: string;
  /** The fix: a command, or advice as text where no command does it. Empty when the check passed. */
  readonly fix: string | FixCommand;
  /** Whether an operator should know of it although it is not a fault. */
  readonly isNotable?: boolean;
}

/** A command that fixes a fault, as it can be pasted into a shell. */
export interface FixCommand {
  readonly command: string;
  /** What it destroys; missing for nothing. */
  readonly harm?: string;
}

/** Makes a fix of a line for a shell, or of several in turn. None is not a fix. */
export function command(
  lines: string | readonly string[],
  harm?: string,
): string | FixCommand {
  const text = typeof lines === "string" ? lines : lines.join(" && ");
  if (text === "") return "";
  return { command: text, ...harm !== undefined && { harm } };
}

/**
 * A line for a shell, such as `` shell`ip link set dev ${name} up` ``. Values are
 * quoted where a shell would not take them for one word; a list is several words.
 */
export function shell(
  line: TemplateStringsArray,
  ...values: readonly (string | number | readonly string[])[]
): string {
  const words = values.map((value) =>
    joinWords(typeof value === "object" ? value : [String(value)])
  );
  return line.reduce((text, next, at) => text + words[at - 1]! + next);
}

/** A fix as text for people. */
export function formatFix(fix: Check["fix"]): string {
  return typeof fix === "string" ? fix : fix.command;
}

export function passed(name: string, found: string): Check {
  return { name, status: "ok", found, means: "", fix: "" };
}

/** A check as one line for people. */
export function formatCheck({ name, found, means, fix }: Check): string {
  const text = formatFix(fix);
  const rest = [means, text === "" ? "" : `to fix it: ${text}`]
    .filter((text) => text !== "");
  return [`${name}: ${found}`, ...rest].join("; ");
}

/** The fix for missing privileges. */
export const AS_ROOT =
  "run the agent as root, or with AmbientCapabilities=CAP_NET_ADMIN in its systemd unit";

/** The check that an operation belongs to. */
export function checkOf(operation: HostOperation): string {
  switch (operation.kind) {
    case "create_bridge":
    case "delete_bridge":
    case "set_up":
    case "set_mtu":
      return "bridge";
    case "add_address":
    case "delete_address":
      return "gateway";
    case "set_sysctl":
      return "forwarding";
    case "replace_table":
    case "delete_table":
      return "masquerade";
    case "add_rule":
    case "delete_rule":
      return "forward policy";
  }
}

/** The commands of the plan that fix a check, as one line for a shell; empty for none. */
export function fixOf(
  name: string,
  desired: HostDesired,
  state: HostState,
): Check["fix"] {
  return command(
    planHost(desired, state)
      .filter((operation) => checkOf(operation) === name)
      .map(formatOperation),
  );
}

/** Why a part of the host cannot be read. */
export function problemOf({ problems }: HostState, tool: string): string {
  return problems.find((problem) => problem.tool === tool)?.message ??
    `${tool} gave no answer`;
}
