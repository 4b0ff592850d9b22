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
  /** The command or the step that fixes it. Empty when the check passed. */
  readonly mend: string;
  /** Whether an operator should know of it although it is no fault. */
  readonly isNotable?: boolean;
}

/** A check that passed. */
export function passed(name: string, found: string): Check {
  return { name, status: "ok", found, means: "", mend: "" };
}

/** A check as one line for people. */
export function formatCheck({ name, found, means, mend }: Check): string {
  const rest = [means, mend === "" ? "" : `to mend it: ${mend}`]
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
export function mendOf(
  name: string,
  desired: HostDesired,
  state: HostState,
): string {
  return planHost(desired, state)
    .filter((operation) => checkOf(operation) === name)
    .map(formatOperation).join(" && ");
}

/** Why a part of the host cannot be read. */
export function problemOf({ problems }: HostState, tool: string): string {
  return problems.find((problem) => problem.tool === tool)?.message ??
    `${tool} gave no answer`;
}
