import { NetError } from "../base/error.ts";
import type { PathProbe } from "../host/path_probe.ts";
import type { Family } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { type Check, passed } from "../host/checks/check.ts";
import type { ClusterNode } from "../registry/feed.ts";
import { checkMtuTo } from "./mtu_checks.ts";
import { checkNextHop } from "./next_hop_checks.ts";
import {
  checkPeerAgent,
  checkPeerState,
  checkPeerSubnets,
  type PathFacts,
} from "./peer_checks.ts";
import { checkWay } from "./forwarding_checks.ts";

/**
 * Checks the path from this host to another node: the identity of its agent,
 * and whether packets to its containers reach it. Takes a few seconds where
 * something is wrong. Never fails: a check reports what it cannot examine.
 */
export async function checkPath(
  peer: ClusterNode,
  probe: PathProbe,
  facts: PathFacts,
): Promise<Check[]> {
  if (peer.name === facts.node) {
    return [passed("peer", `"${peer.name}" is this node: there is no path`)];
  }
  const [ways, agent] = await Promise.all([
    Promise.all(
      ([4, 6] as const).map((family) =>
        attempt(() => checkFamily(peer, probe, { ...facts, family }))
      ),
    ),
    peer.state === "no agent" ? [] : checkPeerAgent(peer, facts),
  ]);
  const isAlive = [...ways.flat(), ...agent].some(({ name, status, found }) =>
    status === "ok" &&
    (name === "peer's agent" || name === "neighbour" && /^\S+ is /.test(found))
  );
  return [
    checkPeerState(peer, { isAlive, isCurrent: facts.isCurrent }),
    ...checkPeerSubnets(peer, facts),
    ...ways.flat(),
    ...agent,
  ];
}

async function checkFamily(
  peer: ClusterNode,
  probe: PathProbe,
  facts: PathFacts & { readonly family: Family },
): Promise<Check[]> {
  const { family } = facts;
  const nextHop = peer.advertised.find((a) => a.family === family);
  const subnets = peer.subnets.filter((subnet) => subnet.family === family);
  if (!nextHop) {
    return subnets.map((subnet): Check => ({
      name: "next hop",
      status: "failed",
      found: `"${peer.name}" advertises no IPv${family} address, and has ${
        formatPrefix(subnet)
      }`,
      means: "no route leads there",
      fix: peer.state === "no agent"
        ? `add a route through an address of its host: stellar-net route add ${
          formatPrefix(subnet)
        } ADDRESS`
        : `run its agent with --advertise and an IPv${family} address of its own`,
    }));
  }
  const hop = await checkNextHop(peer.name, probe, { nextHop, ...facts });
  const { device, answer } = hop;
  const [routes, mtu] = await Promise.all([
    Promise.all(
      subnets.map((subnet) =>
        checkWay(subnet, probe, {
          ...facts,
          peer: peer.name,
          nextHop,
          device,
        })
      ),
    ),
    answer && device !== undefined
      ? checkMtuTo(nextHop, probe, { ...facts, device, answer })
      : [],
  ]);
  return [...hop.checks, ...routes.flat(), ...mtu];
}

/** The check that reports why the path cannot be examined. */
async function attempt(look: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return [{
      name: "next hop",
      status: "failed",
      found: error.message,
      means: "where packets to its containers go is not known",
      fix: "install iproute2 and iputils-ping",
    }];
  }
}
