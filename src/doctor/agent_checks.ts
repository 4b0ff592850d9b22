import { type Address, formatAddress } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import { type Check, command, passed, shell } from "../host/checks/check.ts";
import { formatUtcMs } from "../base/duration.ts";
import type { ClusterNode } from "../registry/feed.ts";
import {
  CHECK_ETCD,
  FENCED_WAY_OUT,
  findMembershipFault,
} from "../member/link.ts";

/** Largest accepted difference of two clocks, in ms. */
const MAX_CLOCK_OFFSET_MS = 2_000;
/** Use from which a subnet counts as nearly full, in percent. */
const NEARLY_FULL_PERCENT = 90n;
/** The modes of a socket for its owner alone, and for a group too (inode(7)). */
const OWN_MODE = 0o600;
const GROUP_MODE = 0o660;

/** The fix that restarts the agent. */
const RESTART = "start the agent again";

/** Gives a fix that restarts the agent as the command of its service manager. */
export function withUnit(check: Check, unit: string | undefined): Check {
  if (unit === undefined) return check;
  const restart = shell`systemctl restart ${unit}`;
  switch (check.fix) {
    case RESTART:
      return { ...check, fix: command(restart) };
    case FENCED_WAY_OUT:
      return {
        ...check,
        fix: command(
          ["stellar-net node leave --force", restart],
          "it forgets the addresses of this host's containers: stop them first",
        ),
      };
    default:
      return check;
  }
}

/** The connection between this agent and the registry. */
export type RegistryLinkFacts = Parameters<typeof findMembershipFault>[0];

/**
 * Whether this agent belongs to a cluster, and its registry is reachable.
 *
 * @param hasSubnets whether this node has subnets of its own
 */
export function checkRegistry(
  link: RegistryLinkFacts,
  hasSubnets: boolean,
): Check {
  const { state, url, sinceMs } = link;
  const fault = findMembershipFault(link, hasSubnets);
  if (fault) {
    const { text, means, advice, severity } = fault;
    return {
      name: "registry",
      status: severity === "error" && state !== "left" ? "failed" : "warning",
      found: text,
      means,
      fix: state === "left" ? RESTART : advice,
    };
  }
  return passed(
    "registry",
    state === "hosted"
      ? "this agent hosts it"
      : `joined${url === "" ? "" : ` through ${url}`}${
        sinceMs === undefined ? "" : ` since ${formatUtcMs(sinceMs)}`
      }`,
  );
}

/** The nodes that the registry refuses, and the known copies of the states of nodes. None: no check. */
export function checkIdentities(nodes: readonly ClusterNode[]): Check[] {
  return nodes.flatMap(({ name, problem }): Check[] => {
    if (!problem) return [];
    const isFenced = problem.startsWith("the registry has fenced it");
    const isRefused = problem.startsWith("the registry has refused it");
    return [{
      name: "identity",
      status: "failed",
      found: `node "${name}": ${problem}`,
      means: isFenced || isRefused
        ? "containers get no addresses on that host"
        : "a machine was cloned, or two hosts have one name",
      fix: isFenced
        ? `on the host of "${name}", ${FENCED_WAY_OUT}`
        : isRefused
        ? "do on that host what the refusal says; stellar-net doctor there says it, too"
        : "find the other host, stop its agent, delete its state, and start it with another --node",
    }];
  });
}

/**
 * Whether another clock and this host's agree.
 *
 * @param clock such as `the clock of "b"`
 * @param offsetMs our time minus its own
 */
export function checkClock(clock: string, offsetMs: number): Check {
  const apart = (Math.abs(offsetMs) / 1_000).toFixed(1);
  const found = `${clock} is ${apart} s ${
    offsetMs > 0 ? "behind" : "ahead of"
  } this host's`;
  if (Math.abs(offsetMs) <= MAX_CLOCK_OFFSET_MS) return passed("clock", found);
  return {
    name: "clock",
    status: "warning",
    found,
    means:
      "times in lists, histories and logs of the two do not fit together, and certificates may be refused",
    fix: "set the clocks with chrony or systemd-timesyncd",
  };
}

/** The state of this agent that is on disk or elsewhere. */
export interface StoreFacts {
  /** Such as `kv:` and a path. */
  readonly url: string;
  /** Why it cannot be read or written; empty when it can. */
  readonly problem: string;
}

/** Whether the agent can read and write its state. */
export function checkStore({ url, problem }: StoreFacts): Check {
  return problem === "" ? passed("store", `${url} takes writes`) : {
    name: "store",
    status: "failed",
    found: `${url}: ${problem}`,
    means: "no address can be given out or taken back",
    fix: "make room where it is, or make it writable; see the agent's log",
  };
}

/** Whether the registry's store, where it is not the agent's own, takes writes. */
export function checkRegistryStore({ url, problem }: StoreFacts): Check {
  const name = "registry store";
  return problem === "" ? passed(name, `${url} takes writes`) : {
    name,
    status: "failed",
    found: `${url}: ${problem}`,
    means:
      "containers get addresses of the subnets that nodes have; joins, new subnets, and changes of routes and reservations wait",
    fix: CHECK_ETCD,
  };
}

/** The agent's socket, as stat(2) tells. */
export interface SocketFacts {
  readonly path: string;
  /** Whether a group may use it (`--socket-group`). Default: false. */
  readonly hasGroup?: boolean;
  /** Undefined when there is nothing at the path. */
  readonly stat:
    | {
      readonly isSocket: boolean;
      /** The permission bits, such as 0o600. */
      readonly mode: number;
    }
    | undefined;
}

/** Whether the socket exists, and only the agent's user and its group may open it. */
export function checkSocket(
  { path, hasGroup = false, stat }: SocketFacts,
): Check {
  if (!stat?.isSocket) {
    return {
      name: "socket",
      status: "failed",
      found: stat
        ? `what is at ${path} is not a socket`
        : `there is nothing at ${path}`,
      means: "neither CNI plugin nor command line reach this agent",
      fix: RESTART,
    };
  }
  const format = (mode: number) => (mode & 0o7777).toString(8).padStart(4, "0");
  const right = hasGroup ? GROUP_MODE : OWN_MODE;
  const mode = format(stat.mode);
  if ((stat.mode & 0o777 & ~right) === 0) {
    return passed("socket", `${path} has mode ${mode}`);
  }
  return {
    name: "socket",
    status: "warning",
    found: `${path} has mode ${mode}`,
    means: "other users of this host can give out and take back addresses",
    fix: command(
      shell`chmod ${format(right)} ${path}`,
      `users other than its owner${
        hasGroup ? " and its group" : ""
      } lose access`,
    ),
  };
}

/** A subnet of this node that others use too. */
export interface SubnetConflict {
  readonly subnet: Prefix;
  /** Such as `overlaps 172.17.0.0/16 on docker0 of node "a"`. */
  readonly reason: string;
}

/**
 * Whether this host has the addresses that other hosts route to.
 *
 * @param missing those that no interface of this host has
 */
export function checkAdvertised(
  missing: readonly Address[],
  advertised: readonly Address[],
): Check[] {
  if (advertised.length === 0) return [];
  const text = (addresses: readonly Address[]) =>
    addresses.map(formatAddress).join(" and ");
  if (missing.length === 0) {
    return [passed("advertised", `this host has ${text(advertised)}`)];
  }
  return [{
    name: "advertised",
    status: "failed",
    found: `no interface of this host has ${text(missing)}`,
    means:
      "other hosts send packets for this host's containers there, and they are lost",
    fix:
      "give the uplink that address, or start the agent with --advertise and an address that the uplink has",
  }];
}

/** Whether nobody else uses this node's subnets. */
export function checkConflicts(
  subnets: readonly Prefix[],
  conflicts: readonly SubnetConflict[],
  { state, isCopy = false }: Pick<RegistryLinkFacts, "state" | "isCopy">,
): Check[] {
  if (conflicts.length > 0) {
    return conflicts.map(({ subnet, reason }): Check => ({
      name: "subnet",
      status: "failed",
      found: `${formatPrefix(subnet)} ${reason}`,
      means: "what is sent to containers in it can end up elsewhere",
      fix:
        "if the other prefix is a mistake, take it away where it is. If it has to stay, move this node to another subnet: stop its containers, stellar-net node leave, and start the agent again",
    }));
  }
  // The registry does not say so, or has said the opposite.
  if (state === "fenced" || isCopy) return [];
  return subnets.map((subnet) =>
    passed("subnet", `${formatPrefix(subnet)} is this node's alone`)
  );
}

/** Whether queued releases wait on disk. */
export function checkQueue(length: number): Check {
  return length === 0 ? passed("queue", "no release waits") : {
    name: "queue",
    status: "warning",
    found: length === 1 ? "1 release waits" : `${length} releases wait`,
    means: "addresses of containers that are gone are still held",
    // At its start, the agent applies them before it serves.
    fix: RESTART,
  };
}

/** Whether allocations have lost their containers. */
export function checkLeaks(count: number): Check {
  return count === 0
    ? passed("leaks", "no address is held for a container that is gone")
    : {
      name: "leaks",
      status: "warning",
      found: `${count === 1 ? "1 container" : `${count} containers`} that ${
        count === 1 ? "holds" : "hold"
      } addresses ${count === 1 ? "seems" : "seem"} to be gone`,
      means: "the addresses are taken back if it stays so",
      fix: "see stellar-net ip list --leaked",
    };
}

/** The use of a subnet. */
export interface SubnetUse {
  readonly subnet: Prefix;
  readonly held: bigint;
  /** Number of addresses that are reserved and not held. */
  readonly reserved: bigint;
  /** Number of addresses that containers can get. */
  readonly capacity: bigint;
}

/** Whether the subnets have free addresses. */
export function checkCapacity(uses: readonly SubnetUse[]): Check[] {
  return uses.map(({ subnet, held, reserved, capacity }): Check => {
    const more = reserved === 0n ? "" : `, and ${reserved} more reserved`;
    const found = `${held} of ${capacity} in ${
      formatPrefix(subnet)
    } are held${more}`;
    const taken = held + reserved;
    const isFull = taken >= capacity;
    if (!isFull && taken * 100n < capacity * NEARLY_FULL_PERCENT) {
      return passed("addresses", found);
    }
    return {
      name: "addresses",
      status: isFull ? "failed" : "warning",
      found,
      means: isFull
        ? "no container can be added on this host"
        : "soon no container can be added on this host",
      fix:
        "remove containers or move them to another host; stellar-net ip list shows the holders",
    };
  });
}
