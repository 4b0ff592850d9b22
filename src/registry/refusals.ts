import { NetError } from "../base/error.ts";
import { formatPrefix } from "../net/prefix.ts";
import type { SubnetUsage } from "../addresses/allocator.ts";

/** Why a node has no address to give: all are held. */
export function exhausted({ capacity, subnet }: SubnetUsage): NetError {
  return new NetError(
    "exhausted",
    `IP allocation exhausted: all ${capacity} addresses of ${
      formatPrefix(subnet)
    } are held`,
  );
}

/** Why a node does not leave unless it is forced: its containers are there. */
export function stillHeld(node: string, held: number): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot leave: ${held} ${
      held === 1 ? "address is" : "addresses are"
    } held on node "${node}"; stop its containers first, or force it`,
  );
}

/** Why nothing is released on a node yet: the registry may hold addresses for it. */
export function notJoined(node: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot release: node "${node}" has not joined yet, so what it holds is not known; try again`,
  );
}

/** Why a node gives no addresses: it has left. */
export function hasLeft(node: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot hand out addresses: node "${node}" has left the cluster; start its agent again to come back`,
  );
}

/** Why a node gives no addresses: the registry refuses it. */
export function isFenced(node: string, problem: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot hand out addresses: node "${node}" is fenced: ${problem}`,
  );
}

/** Why a node gives no addresses: it has not joined yet. */
export function hasNoSubnet(node: string, problem: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot hand out addresses: node "${node}" has no subnet before it has joined, and the registry cannot be reached: ${problem}`,
  );
}
