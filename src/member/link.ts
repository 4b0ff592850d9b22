import { formatUtcMs } from "../base/duration.ts";
import type { ErrorReason } from "../base/error.ts";
import {
  describeRestoreGrace,
  type RestoreGraceTime,
} from "../registry/plan/restore_grace.ts";

/** The connection between an agent and the registry. */
export interface RegistryLink {
  /** `fenced`: the registry refuses this node. */
  readonly state: "hosted" | "joined" | "unreachable" | "fenced" | "left";
  readonly sinceMs: number;
  /** Why the registry is out of reach or refuses this node; otherwise empty. */
  readonly problem: string;
  /** The reason of the error that `problem` tells, for programs. Absent: none is known. */
  readonly reason?: ErrorReason | undefined;
  /** URL of the registry that was reached last; empty: none, or it is hosted here. */
  readonly url: string;
  /** URLs of all registries to try; empty: it is hosted here. */
  readonly urls: readonly string[];
  /** True if the state was made on another machine, and no registry has accepted this one. */
  readonly isCopy?: boolean;
  /** The grace period of the registry that is hosted here. Absent: none. */
  readonly restoreGrace?: RestoreGraceTime | undefined;
}

/** A fault of a node's membership in its cluster. */
export interface MembershipFault {
  readonly code:
    | "registry-unreachable"
    | "migrating"
    | "restore-grace"
    | "cloned"
    | "refused"
    | "fenced"
    | "left";
  /** `warning`: containers still get addresses. */
  readonly severity: "error" | "warning";
  /** What is true now, since when, and the cause. */
  readonly text: string;
  /** The consequence. */
  readonly means: string;
  /** The way out. */
  readonly advice: string;
}

/** The way out for an agent whose state was made on another machine. */
const COPY_WAY_OUT =
  'if this machine is a clone, stop its agent, delete its state, and start it with another --node; if it replaces the other one for good, run "stellar-net node remove" for the node where the registry is';

/** The way out for a node whose subnet may belong to another. */
export const FENCED_WAY_OUT =
  'stop its containers, run "stellar-net node leave --force", which forgets their addresses, and start the agent again';

/** The fix for the store of a registry that several agents host. */
export const CHECK_ETCD =
  "check etcd's members: etcdctl endpoint status --cluster, and etcdctl alarm list";

/** The causes that lie between the two hosts, or with the agent there not running. */
const NETWORK =
  /nothing (?:listens|answers)|does not answer|timed out|no route to|no host of that name|closed the connection|not answered yet/;

/** Causes that a caller can meet at every agent, and the way out of each. */
const WAYS_OUT: readonly (readonly [cause: RegExp, wayOut: string])[] = [
  [
    /node of that name|host with that name|has that name|name is taken/,
    'start this agent with another --node. If it is that node, and no other host has the name, "stellar-net token create --name" on a host of the registry makes a token for it',
  ],
  [
    /belongs to cluster/,
    'name an agent of this node\'s own cluster with --join. If the registry of that cluster is lost, bring it back with "stellar-net restore" or "stellar-net registry rebuild". Only to give up all addresses that this node holds, run "stellar-net node leave --force" and start the agent again',
  ],
  [
    /revoked|token/,
    'make a token for that node with "stellar-net token create --name" on a host of the registry, and put it into the file that its --token-file names',
  ],
  [
    /valid (?:until|from)/,
    "set the clocks of both hosts; a node that was off for more than 30 days needs a new token",
  ],
];

/**
 * The way out of a cause for which an agent is not reached; undefined where the
 * network, or an agent that does not run, is the cause.
 */
export function wayOutOf(problem: string): string | undefined {
  // The other agent answers, and says what is wrong with its store.
  if (/\betcd:\/\//.test(problem)) return CHECK_ETCD;
  if (problem === "" || NETWORK.test(problem)) return undefined;
  const known = WAYS_OUT.find(([cause]) => cause.test(problem));
  return known?.[1] ?? "remove this cause; the agent tries again by itself";
}

const UNREACHABLE_MEANS = {
  member:
    "this node keeps its addresses and routes; joins, and changes of subnets and routes, wait",
  newcomer:
    "this node has no subnet before it has joined, so containers get no addresses",
} as const;

/**
 * The fault of a node's membership; undefined when there is none. Status,
 * doctor, `/readyz`, reports and errors all say it in these words.
 *
 * @param hasSubnets whether the node has subnets of its own
 */
export function findMembershipFault(
  link:
    & Pick<RegistryLink, "state" | "problem" | "reason" | "url" | "urls">
    & Pick<RegistryLink, "isCopy" | "restoreGrace">
    & { readonly sinceMs: number | undefined },
  hasSubnets: boolean,
): MembershipFault | undefined {
  const { state, problem, reason, sinceMs, restoreGrace } = link;
  const since = sinceMs === undefined ? "" : ` since ${formatUtcMs(sinceMs)}`;
  const why = problem === "" ? "" : `: ${problem}`;
  if (link.isCopy) {
    return {
      code: "cloned",
      severity: "error",
      text:
        `the state of this agent was made on another machine, and no registry has accepted this one${since}${why}`,
      means: "this node hands out no addresses",
      advice: COPY_WAY_OUT,
    };
  }
  if (state === "unreachable" && reason === "MIGRATING") {
    return {
      code: "migrating",
      severity: hasSubnets ? "warning" : "error",
      text: `the registry has been moving to another store${since}${why}`,
      means: UNREACHABLE_MEANS[hasSubnets ? "member" : "newcomer"],
      advice:
        'wait until "stellar-net store migrate" is done; the agent then continues by itself',
    };
  }
  if (state === "unreachable" && reason === "RESTORE_GRACE") {
    return {
      code: "restore-grace",
      severity: hasSubnets ? "warning" : "error",
      text: `the registry has kept this node waiting${since}${why}`,
      means: UNREACHABLE_MEANS[hasSubnets ? "member" : "newcomer"],
      advice:
        "wait until the grace period is over; the agent then joins by itself",
    };
  }
  switch (state) {
    case "hosted":
    case "joined":
      return restoreGrace && {
        code: "restore-grace",
        severity: "warning",
        text: describeRestoreGrace(restoreGrace),
        means: "new nodes wait for their first subnet",
        advice:
          "start the agents of all hosts that had joined, so that each keeps its subnet, and wait",
      };
    case "unreachable":
      return {
        code: "registry-unreachable",
        severity: hasSubnets ? "warning" : "error",
        text: `the registry has been unreachable${since}${why}`,
        means: UNREACHABLE_MEANS[hasSubnets ? "member" : "newcomer"],
        advice: wayOutOf(problem) ?? checkRegistryRuns(link),
      };
    case "fenced":
      return hasSubnets
        ? {
          code: "fenced",
          severity: "error",
          text: `the registry has fenced this node${since}${why}`,
          means:
            "this node hands out no addresses, and its subnet may belong to another",
          advice: FENCED_WAY_OUT,
        }
        : {
          code: "refused",
          severity: "error",
          text: `the registry has refused this node${since}${why}`,
          means: "this node has no subnet, so containers get no addresses",
          advice: wayOutOf(problem) ??
            "remove this cause; the agent tries again by itself",
        };
    case "left":
      return {
        code: "left",
        severity: "error",
        text: `this node has left the cluster${since}${why}`,
        means: "it has no subnet and hands out no addresses",
        advice: "start the agent again to join",
      };
  }
}

function checkRegistryRuns({ url, urls }: Pick<RegistryLink, "url" | "urls">) {
  // The registry is in etcd, and this agent is one of its hosts.
  if (urls.length === 0) return CHECK_ETCD;
  return `check that ${
    url === "" ? "an agent of --join" : `the agent at ${url}`
  } runs, and that no firewall blocks its port`;
}
