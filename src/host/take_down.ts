import type { HostNetwork } from "./network.ts";
import type { KernelRoutes } from "../routes/kernel_routes.ts";
import { formatOperation } from "./plan/host_command.ts";
import {
  type HostOperation,
  type HostState,
  planHost,
} from "./plan/host_plan.ts";
import { describeOperation } from "../routes/plan/ip_batch.ts";
import { planRoutes } from "../routes/plan/route_plan.ts";

/** The desired state of a host without an agent. */
const NOTHING = { subnets: [], networks: [], masquerade: false };

export interface TakeDownOptions {
  readonly routes: KernelRoutes;
  readonly network: HostNetwork;
  /** The protocol number of the agent's own routes. */
  readonly protocol: number;
  /** Name of the bridge. */
  readonly bridge: string;
  /** Whether it only reports what it would do. */
  readonly isDryRun: boolean;
}

/** The results, a line each. */
export interface TakeDownReport {
  /** The changes that were made, or would be. */
  readonly done: readonly string[];
  /** The parts that remain, and why. */
  readonly left: readonly string[];
}

/**
 * Removes everything that a stopped agent has left in the kernel: its routes, its
 * table of nftables, its rules in the filters of others, and the bridge if no
 * container is on it. Forwarding stays on: others may need it.
 */
export async function takeDown(
  options: TakeDownOptions,
): Promise<TakeDownReport> {
  const { routes, network, protocol, bridge, isDryRun } = options;
  const done: string[] = [];
  const left: string[] = [];
  const tell = (what: string, error: string | undefined) => {
    if (error === undefined) done.push(what);
    else left.push(`${what}: ${error}`);
  };
  const { operations } = planRoutes(
    [],
    await routes.read({ protocol, within: [], exact: [] }),
    {
      protocol,
    },
  );
  const removed = isDryRun
    ? operations.map((operation) => ({ operation, error: undefined }))
    : await routes.apply(operations);
  for (const { operation, error } of removed) {
    tell(describeOperation(operation), error);
  }
  const state = await network.read(bridge);
  left.push(...state.problems.map(({ message }) => message));
  const ports = portsOf(state, bridge);
  if (ports.length > 0) {
    left.push(
      `the bridge "${bridge}" has ${
        ports.join(", ")
      }: remove the containers first`,
    );
  }
  const plan: HostOperation[] = [
    ...planHost(NOTHING, state),
    ...hasBridge(state, bridge) && ports.length === 0
      ? [{ kind: "delete_bridge", name: bridge } as const]
      : [],
  ];
  const outcomes = isDryRun
    ? plan.map((operation) => ({ operation }))
    : await network.apply(plan);
  for (const outcome of outcomes) {
    const error = "error" in outcome ? outcome.error : undefined;
    tell(formatOperation(outcome.operation), error);
  }
  return { done, left };
}

function hasBridge({ interfaces }: HostState, bridge: string): boolean {
  return interfaces?.links.some(({ name, kind }) =>
    name === bridge && kind === "bridge"
  ) ?? false;
}

function portsOf({ interfaces }: HostState, bridge: string): string[] {
  return (interfaces?.links ?? []).filter(({ master }) => master === bridge)
    .map(({ name }) => name);
}
