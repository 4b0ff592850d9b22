import type { AgentConfig, RouteMode } from "../config/config.ts";
import type { Address, Family } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";

/** What a node is to its cluster, as far as its operator may have forgotten something. */
export interface NodeOnHost {
  readonly config: Pick<AgentConfig, "bridge" | "masquerade">;
  readonly mode: RouteMode;
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** The addresses that other hosts are told to route through. */
  readonly advertised: readonly Address[];
  /** Whether there are other nodes. */
  readonly hasPeers: boolean;
}

/** What an operator should know of flags that do not go together, and of subnets that no other host finds. */
export function hostWarnings(node: NodeOnHost): string[] {
  const { config, mode, subnets, advertised, hasPeers } = node;
  const idle = [
    ...config.bridge === undefined ? [] : ["--bridge"],
    ...config.masquerade ? ["--masquerade"] : [],
  ];
  const unreached = subnets.filter(({ family }) =>
    hasPeers && !advertised.some((address) => address.family === family)
  );
  return [
    ...mode === "plan" && idle.length > 0
      ? [
        `--routes plan: nothing is changed on this host, so that ${
          idle.join(" and ")
        } ${idle.length > 1 ? "do" : "does"} nothing`,
      ]
      : [],
    ...unreached.map((subnet) =>
      `no other host has a route to ${
        formatPrefix(subnet)
      }: this node advertises no ${
        familyName(subnet.family)
      } address; name one of its own with --advertise`
    ),
  ];
}

function familyName(family: Family): string {
  return `IPv${family}`;
}
