import { formatUser } from "../addresses/neighbours.ts";
import { NetError } from "../base/error.ts";
import { type Check, command, passed } from "../host/checks/check.ts";
import type { PathProbe, PingOptions } from "../host/path_probe.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import type { ContainerView } from "../host/plan/container_view.ts";
import {
  type DropQuery,
  type DropRule,
  findDrops,
} from "../host/plan/drop_rules.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import { type Address, addressBits, formatAddress } from "../net/address.ts";
import {
  containsPrefix,
  gatewayOf,
  type Prefix,
  prefixOf,
} from "../net/prefix.ts";
import { checkPeerState } from "./peer_checks.ts";
import type { ClusterNode } from "../registry/feed.ts";
import type { HostLink } from "../routes/plan/ip_json.ts";
import { type HostInterfaces, uplinksOf } from "../routes/plan/uplink.ts";

/** How many peers, and how many containers, one examination sends packets to. */
const MAX_PEERS = 16;
const MAX_CONTAINERS = 32;
/** How many hops a peer may be away, seen from a container, to be found without its bridge. */
const MAX_HOPS = 5;
const UNREACHED = "containers here and there do not reach each other";

/** A container that CNI attached to this host. */
export interface AttachedContainer {
  readonly id: string;
  readonly interfaceName: string;
  readonly netns: string;
  readonly addresses: readonly Address[];
}

/** The facts that the packets of an examination depend on. */
export interface PacketFacts {
  readonly subnets: readonly Prefix[];
  readonly networks: readonly Prefix[];
  readonly interfaces: HostInterfaces | undefined;
  readonly peers: readonly ClusterNode[];
  readonly containers: readonly AttachedContainer[];
  /** The bridge that the agent creates; undefined for none. */
  readonly bridge: string | undefined;
}

/** A container with its network, and the host's ends of its links. */
interface Seen extends AttachedContainer {
  readonly view: ContainerView;
  readonly hostEnd: HostLink | undefined;
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
  const seen = (await Promise.all(
    facts.containers.slice(0, MAX_CONTAINERS).map(async (container) => {
      const view = await probe.readContainer(container.netns);
      if (!view) return [];
      const end = view.hostEnds.get(container.interfaceName);
      const hostEnd = links.find(({ index }) =>
        index !== undefined && index === end
      );
      return [{ ...container, view, hostEnd }];
    }),
  )).flat();
  const [bridges, inside, outside, drops] = await Promise.all([
    Promise.resolve(checkBridges(facts, seen)),
    checkContainers(probe, facts, seen),
    checkPeers(probe, facts, seen),
    readDrops(probe, facts),
  ]);
  const found = [...bridges, ...inside, ...outside];
  const isLost = found.some(({ status }) => status === "failed");
  const suspects = drops.filter(({ isCertain }) => isCertain || isLost);
  return [...found, ...suspects.map((drop) => dropCheck(drop, isLost))];
}

function dropCheck(
  { rule, isCertain, command: text }: DropRule,
  isLost: boolean,
): Check {
  return {
    name: "packet filter",
    status: isCertain || isLost ? "failed" : "warning",
    found: isCertain
      ? `"${rule}" drops packets of containers`
      : `"${rule}" may be what drops packets of containers`,
    means: UNREACHED,
    fix: command(text, "whoever added that rule loses it"),
  };
}

async function readDrops(
  probe: PathProbe,
  { subnets, networks, interfaces }: PacketFacts,
): Promise<DropRule[]> {
  const links = interfaces?.links ?? [];
  const query: DropQuery = {
    subnets,
    networks,
    devices: [
      ...subnets.flatMap((subnet) => linkOfGateway(links, subnet)?.name ?? []),
      ...(interfaces ? uplinksOf(interfaces) : []).map(({ device }) => device),
      ...links.filter(({ kind, addresses, master }) =>
        kind !== "bridge" && addresses.length > 0 && master === undefined
      ).map(({ name }) => name),
    ],
  };
  try {
    return findDrops(await probe.dropTables(), query);
  } catch (error) {
    // The checks of packet filters say already that they cannot be read.
    if (error instanceof NetError) return [];
    throw error;
  }
}

/** Whether the bridge of containers is up and has their gateway. */
function checkBridges(
  { subnets, interfaces, bridge, containers }: PacketFacts,
  seen: readonly Seen[],
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
        fix: command(`ip link set dev ${holder.name} up`),
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
          `ip address add ${gateway} dev ${name} && ip link set dev ${name} up`,
        ),
    }];
  });
}

/** Whether a packet gets into each container, and from it to its gateway's host. */
async function checkContainers(
  probe: PathProbe,
  facts: PacketFacts,
  seen: readonly Seen[],
): Promise<Check[]> {
  const checks = await Promise.all(
    seen.map((container) => checkContainer(probe, facts, { container, seen })),
  );
  const wrong = checks.flat();
  if (wrong.length > 0 || seen.length === 0) return wrong;
  return [
    passed(
      "container",
      seen.length === 1
        ? "packets get into 1 container"
        : `packets get into ${seen.length} containers`,
    ),
  ];
}

async function checkContainer(
  probe: PathProbe,
  { subnets, networks, interfaces }: PacketFacts,
  { container, seen }: {
    readonly container: Seen;
    readonly seen: readonly Seen[];
  },
): Promise<Check[]> {
  const { id, interfaceName, netns, view, hostEnd, addresses } = container;
  const failed = (found: string, fix: Check["fix"]): Check[] => [{
    name: "container",
    status: "failed",
    found: `container "${id}": ${found}`,
    means: "the container is not reached, or reaches nothing",
    fix,
  }];
  const inside = (text: string) => command(`nsenter --net=${netns} ${text}`);
  const own = view.links.find(({ name }) => name === interfaceName);
  if (!own) {
    return failed(
      `it has no interface "${interfaceName}"`,
      "start the container again",
    );
  }
  if (!own.isUp) {
    return failed(
      `its "${interfaceName}" is down`,
      inside(`ip link set dev ${interfaceName} up`),
    );
  }
  for (const address of addresses) {
    const text = formatAddress(address);
    const subnet = subnets.find((prefix) =>
      containsPrefix(prefix, prefixOf(address, addressBits(address.family)))
    );
    const twin = seen.find((other) =>
      other.netns !== netns && hasAddress(other.view, address)
    );
    if (twin) {
      return failed(
        `${text} is also an address of container "${twin.id}"`,
        `remove it from one of the two: nsenter --net=${twin.netns} ip address show to ${text}`,
      );
    }
    if (!hasAddress(view, address)) {
      return failed(
        `its "${interfaceName}" does not have ${text}, which it holds`,
        subnet
          ? inside(
            `ip address add ${text}/${subnet.length} dev ${interfaceName}`,
          )
          : "start the container again",
      );
    }
    if (!subnet) continue;
    const bridge = linkOfGateway(interfaces?.links ?? [], subnet);
    if (bridge?.kind === "bridge" && hostEnd) {
      if (hostEnd.master !== bridge.name) {
        return failed(
          `its link "${hostEnd.name}" is not a port of "${bridge.name}"`,
          command(
            `ip link set dev ${hostEnd.name} master ${bridge.name} && ip link set dev ${hostEnd.name} up`,
          ),
        );
      }
      if (!hostEnd.isUp) {
        return failed(
          `its link "${hostEnd.name}" is down`,
          command(`ip link set dev ${hostEnd.name} up`),
        );
      }
    }
    const gateway = gatewayOf(subnet);
    const reaches = view.routes.some(({ destination, gateway: via }) =>
      via?.family === address.family &&
      (destination === undefined ||
        networks.some((network) => containsPrefix(destination, network)))
    );
    if (!reaches && address.family === 4) {
      return failed(
        "it has no route to the cluster's networks",
        inside(`ip route add default via ${formatAddress(gateway)}`),
      );
    }
    if (!bridge?.isUp) continue;
    const host = prefixOf(address, addressBits(address.family));
    const [entry] = await probe.neighbours(host, bridge.name);
    const port = entry &&
      (await probe.bridgePorts(bridge.name)).get(entry.macAddress);
    if (port !== undefined && hostEnd && port !== hostEnd.name) {
      const user = { ...entry!, port };
      return failed(
        `${text} is also in use by ${formatUser(user)}`,
        `find its user and stop it: ip -details link show ${port}`,
      );
    }
    const { isAnswered } = await probe.ping(address, { source: gateway });
    if (isAnswered) continue;
    if (entry?.states.includes("PERMANENT")) {
      return failed(
        `a permanent neighbour entry of this host says that ${text} is at ${entry.macAddress}, and it does not answer`,
        command(`ip neighbour delete ${text} dev ${bridge.name}`),
      );
    }
    return failed(
      `${text} does not answer a ping from ${formatAddress(gateway)}`,
      "see the packet filter of the container, and the findings below",
    );
  }
  return [];
}

function hasAddress({ links }: ContainerView, address: Address): boolean {
  return links.some(({ addresses }) =>
    addresses.some((held) =>
      held.address.family === address.family &&
      held.address.value === address.value
    )
  );
}

/** Whether packets get to the gateway of each peer: from this host's gateway, and forwarded from a container. */
async function checkPeers(
  probe: PathProbe,
  facts: PacketFacts,
  seen: readonly Seen[],
): Promise<Check[]> {
  const paths = facts.peers.slice(0, MAX_PEERS).flatMap((peer) =>
    peer.subnets.map((subnet) => ({ peer, subnet }))
  );
  const checks = await Promise.all(
    paths.map(({ peer, subnet }) =>
      checkPeerPackets(probe, facts, { peer, subnet, seen })
    ),
  );
  return checks.flat();
}

async function checkPeerPackets(
  probe: PathProbe,
  { subnets, interfaces }: PacketFacts,
  { peer, subnet, seen }: {
    readonly peer: ClusterNode;
    readonly subnet: Prefix;
    readonly seen: readonly Seen[];
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
  try {
    const at = { peer, target };
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
        ...peer.state === "unreachable" ? [checkPeerState(peer, true)] : [],
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
      ...peer.state === "unreachable"
        ? [checkPeerState(peer, isForwarding)]
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
          ? "see the other findings: this host does not forward the packets"
          : `see where they get lost: stellar-net doctor ${peer.name}`,
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
 * Sends packets to the gateway of a peer. A peer without a bridge reports them
 * as unreachable, or sends them on by a route of its own, such as its default
 * route: then it reports those that may go no further than to it.
 */
async function sendToPeer(
  probe: PathProbe,
  { peer, target }: { readonly peer: ClusterNode; readonly target: Address },
  options: PingOptions,
): Promise<"answered" | "reported" | "lost"> {
  const isPeer = ({ errorFrom }: PingAnswer) =>
    peer.advertised.some((address) => formatAddress(address) === errorFrom);
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
