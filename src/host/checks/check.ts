import { formatOperation } from "../plan/host_command.ts";
import {
  type HostDesired,
  type HostOperation,
  type HostState,
  planHost,
} from "../plan/host_plan.ts";

/** What was looked at, what was found, and what to do about it. */
export interface Check {
  /** Short, such as "forwarding". Several checks may bear one name. */
  readonly name: string;
  /** `warning`: it works, or is not needed now. `failed`: something does not work. */
  readonly status: "ok" | "warning" | "failed";
  /** What is true now. */
  readonly found: string;
  /** What follows from it for containers. Empty when all is well. */
  readonly means: string;
  /** The command or the step that mends it. Empty when all is well. */
  readonly mend: string;
  /** Whether an operator should know of it although all is well. */
  readonly isNotable?: boolean;
}

/** A check that found all as it should be. */
export function passed(name: string, found: string): Check {
  return { name, status: "ok", found, means: "", mend: "" };
}

/** A check as one line for people. */
export function formatCheck({ name, found, means, mend }: Check): string {
  const rest = [means, mend === "" ? "" : `to mend it: ${mend}`]
    .filter((text) => text !== "");
  return [`${name}: ${found}`, ...rest].join("; ");
}

/** What gives the agent the privileges that it lacks. */
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

/** The commands of a plan that belong to a check, as a line for a shell; empty for none. */
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
