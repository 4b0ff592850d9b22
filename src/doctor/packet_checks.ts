import { NetError } from "../base/error.ts";
import { mapBounded } from "../base/map_bounded.ts";
import { type Check, command, passed, shell } from "../host/checks/check.ts";
import { describeDrop } from "../host/checks/drop_checks.ts";
import type { PathProbe, PingOptions } from "../host/path_probe.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import {
  type DropQuery,
  type DropRule,
  findDrops,
  trafficDevices,
} from "../host/plan/drop_rules.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import { type Address, addressBits, formatAddress } from "../net/address.ts";
import {
  containsPrefix,
  gatewayOf,
  type Prefix,
  prefixOf,
} from "../net/prefix.ts";
import {
  type AttachedContainer,
  checkContainers,
  checkHidden,
  type ContainerFacts,
  EXAMINED,
  type SeenContainer,
} from "./container_checks.ts";
import { checkPeerState } from "./peer_checks.ts";
import { checkWaysIn } from "./way_in_checks.ts";
import type { ClusterNode } from "../registry/feed.ts";

/** Most peers, and most containers, to which one examination sends packets. */
const MAX_PEERS = 256;
const MAX_CONTAINERS = 256;
/** Most hops from a container to a peer that is found without its bridge. */
const MAX_HOPS = 5;
const UNREACHED = "containers here and there do not reach each other";

/** The facts that the packets of an examination depend on. */
export interface PacketFacts extends ContainerFacts {
  readonly peers: readonly ClusterNode[];
  /** The bridge that the agent creates; undefined for none. */
  readonly bridge: string | undefined;
  /** The TCP ports at which agents call each other. */
  readonly ports: readonly number[];
  /** Whether calls between this agent and others fail. */
  readonly isCut: boolean;
  /** Whether the registry tells this node the states of the others now. */
  readonly isCurrent: boolean;
  /** The peers without a bridge, as their probes tell. */
  readonly bridgeless: ReadonlySet<string>;
}

/**
 * Sends packets along the paths that containers use: into each container, from
 * a container and from this host's gateway to the gateway of each peer. A
 * failure is reported with the causes that can be found on this host.
 */
export async function checkPackets(
  probe: PathProbe,
  facts: PacketFacts,
): Promise<Check[]> {
  const links = facts.interfaces?.links ?? [];
  const containers = facts.containers.slice(0, MAX_CONTAINERS);
  const hidden: AttachedContainer[] = [];
  const seen = (await mapBounded(containers, async (container) => {
    const view = await probe.readContainer(container.netns);
    if (view === "not permitted") hidden.push(container);
    if (view === "not permitted" || !view) return [];
    const end = view.hostEnds.get(container.interfaceName);
    const hostEnd = links.find(({ index }) =>
      index !== undefined && index === end
    );
    return [{ ...container, view, hostEnd }];
  }, EXAMINED)).flat();
  const bridges = checkBridges(facts, seen);
  const entering = checkContainers(probe, facts, seen);
  const [inside, outside, ways, drops] = await Promise.all([
    entering.then(({ checks }) => checks),
    // A container with a fault of its own tells nothing about the peers.
    entering.then(({ sound }) => checkPeers(probe, facts, sound)),
    checkWaysIn(probe, facts),
    readDrops(probe, facts),
  ]);
  const unseen = await checkHidden(probe, facts, hidden);
  const found = [...bridges, ...inside, ...unseen, ...outside];
  const isLost = found.some(({ status }) => status === "failed");
  const suspects = drops.filter(({ traffic, isCertain, isPartial }) =>
    traffic === "calls" || isCertain || isPartial || isLost
  );
  return [
    ...found,
    ...ways,
    ...suspects.map((drop) => describeDrop(drop, facts)),
  ];
}

async function readDrops(
  probe: PathProbe,
  { subnets, networks, interfaces, ports, peers }: PacketFacts,
): Promise<DropRule[]> {
  const query: DropQuery = {
    subnets,
    networks,
    owned: [...subnets, ...peers.flatMap((peer) => peer.subnets)],
    ports,
    devices: interfaces ? trafficDevices(interfaces, subnets) : [],
  };
  try {
    return findDrops(await probe.dropTables(), query);
  } catch (error) {
    // The checks of packet filters report those that cannot be read.
    if (error instanceof NetError) return [];
    throw error;
  }
}

/** Whether the bridge of containers is up and has their gateway. */
function checkBridges(
  { subnets, interfaces, bridge, containers }: PacketFacts,
  seen: readonly SeenContainer[],
): Check[] {
  const links = interfaces?.links;
  if (!links) return [];
  return subnets.flatMap((subnet): Check[] => {
    const holders = containers.filter(({ addresses }) =>
      addresses.some((address) =>
        containsPrefix(subnet, prefixOf(address, addressBits(address.family)))
      )
    );
    if (holders.length === 0) return [];
    const holder = linkOfGateway(links, subnet);
    const means = "containers on this host reach nothing outside of it";
    if (holder) {
      return holder.isUp ? [] : [{
        name: "bridge",
        status: "failed",
        found: `"${holder.name}" is down`,
        means,
        fix: command(shell`ip link set dev ${holder.name} up`),
      }];
    }
    const gateway = `${formatAddress(gatewayOf(subnet))}/${subnet.length}`;
    const name = seen.map(({ hostEnd }) => hostEnd?.master)
      .find((master) => master !== undefined) ??
      links.find(({ name, kind }) =>
        kind === "bridge" && (name === bridge || name === "stellar0")
      )?.name;
    return [{
      name: "gateway",
      status: "failed",
      found: `${gateway} is on no interface, and ${
        holders.length === 1
          ? "1 container holds"
          : `${holders.length} containers hold`
      } addresses of its subnet`,
      means,
      fix: name === undefined
        ? "the bridge is gone, and with it the links of the containers: start the containers again"
        : command(
          shell`ip address add ${gateway} dev ${name} && ip link set dev ${name} up`,
        ),
    }];
  });
}

/** Whether packets get to the gateway of each peer: from this host's gateway, and forwarded from a container. */
async function checkPeers(
  probe: PathProbe,
  facts: PacketFacts,
  seen: readonly SeenContainer[],
): Promise<Check[]> {
  const paths = facts.peers.slice(0, MAX_PEERS).flatMap((peer) =>
    peer.subnets.map((subnet) => ({ peer, subnet }))
  );
  const checks = await mapBounded(
    paths,
    ({ peer, subnet }) =>
      checkPeerPackets(probe, facts, { peer, subnet, seen }),
    EXAMINED,
  );
  const untried = facts.peers.slice(MAX_PEERS);
  return [
    ...checks.flat(),
    ...untried.length === 0 ? [] : [passed(
      "packets",
      `no packets were sent to ${untried.length} more peers: name one to check the path to it`,
    )],
  ];
}

async function checkPeerPackets(
  probe: PathProbe,
  { subnets, interfaces, isCurrent, bridgeless }: PacketFacts,
  { peer, subnet, seen }: {
    readonly peer: ClusterNode;
    readonly subnet: Prefix;
    readonly seen: readonly SeenContainer[];
  },
): Promise<Check[]> {
  const { family } = subnet;
  if (!peer.advertised.some((address) => address.family === family)) return [];
  const target = gatewayOf(subnet);
  const own = subnets.find((prefix) =>
    prefix.family === family && linkOfGateway(interfaces?.links ?? [], prefix)
  );
  const source = own && gatewayOf(own);
  const container = seen.find(({ addresses }) =>
    addresses.some((address) => address.family === family)
  );
  const isLost = isCurrent && peer.state === "unreachable";
  try {
    const at = {
      ...{ peer, target },
      hasBridge: !bridgeless.has(peer.name),
    };
    const [fromHost, fromContainer] = await Promise.all([
      sendToPeer(probe, at, source ? { source } : {}),
      container
        ? sendToPeer(probe, at, { netns: container.netns })
        : "no container",
    ]);
    const to = `${formatAddress(target)}, the gateway of "${peer.name}"`;
    const from = source ? formatAddress(source) : "this host";
    if (fromHost !== "lost" && fromContainer !== "lost") {
      return [
        ...isLost ? [checkPeerState(peer, { isAlive: true, isCurrent })] : [],
        passed(
          "packets",
          fromHost === "answered"
            ? `packets get from ${from} to ${to}`
            : `packets get from ${from} to "${peer.name}", which has no bridge with ${
              formatAddress(target)
            } now`,
        ),
      ];
    }
    const isForwarding = fromHost !== "lost";
    return [
      ...isLost
        ? [checkPeerState(peer, { isAlive: isForwarding, isCurrent })]
        : [],
      {
        name: "packets",
        status: "failed",
        found: isForwarding
          ? `packets of container "${
            container!.id
          }" do not get to ${to}; those of this host do`
          : `no packet gets from ${from} to ${to}`,
        means: UNREACHED,
        fix: isForwarding
          ? `find the cause in the other findings here, or on "${peer.name}" with stellar-net doctor`
          : `find the cause with stellar-net doctor ${peer.name} here, and with stellar-net doctor on "${peer.name}"`,
      },
    ];
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return [{
      name: "packets",
      status: "warning",
      found: error.message,
      means: `whether packets get to "${peer.name}" is not known`,
      fix: "install iputils-ping and util-linux",
    }];
  }
}

/**
 * Sends packets to the gateway of a peer. In place of a peer without a bridge
 * its host answers. Where it is not known whether there is a bridge, such a peer
 * reports the packets as unreachable, but no more than about one in two seconds,
 * or sends them on by a route of its own, such as its default route: then it
 * reports those that may go no further than to it.
 */
async function sendToPeer(
  probe: PathProbe,
  { peer, target, hasBridge }: {
    readonly peer: ClusterNode;
    readonly target: Address;
    readonly hasBridge: boolean;
  },
  options: PingOptions,
): Promise<"answered" | "reported" | "lost"> {
  const isPeer = ({ errorFrom }: PingAnswer) =>
    peer.advertised.some((address) => formatAddress(address) === errorFrom);
  const host = peer.advertised.find(({ family }) => family === target.family);
  if (!hasBridge && host) {
    const { isAnswered } = await probe.ping(host, options);
    if (isAnswered) return "reported";
  }
  const answer = await probe.ping(target, options);
  if (answer.isAnswered) return "answered";
  if (isPeer(answer)) return "reported";
  const reports = await Promise.all(
    Array.from(
      { length: MAX_HOPS },
      (_, i) => probe.ping(target, { ...options, hops: i + 1 }),
    ),
  );
  return reports.some(isPeer) ? "reported" : "lost";
}
