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
import {
  type Address,
  addressBits,
  type Family,
  formatAddress,
} from "../net/address.ts";
import {
  containsPrefix,
  gatewayOf,
  type Prefix,
  prefixOf,
} from "../net/prefix.ts";
import { checkPeerState } from "./peer_checks.ts";
import { checkWaysIn } from "./way_in_checks.ts";
import type { ClusterNode } from "../registry/feed.ts";
import type { HostLink } from "../routes/plan/ip_json.ts";
import { isSameAddress } from "../routes/plan/kernel_route.ts";
import { type HostInterfaces, uplinksOf } from "../routes/plan/uplink.ts";

/** How many peers, and how many containers, one examination sends packets to. */
const MAX_PEERS = 256;
const MAX_CONTAINERS = 256;
/** How many of them at once: each needs a few processes. */
const BATCH = 32;
/** How many hops a peer may be away, seen from a container, to be found without its bridge. */
const MAX_HOPS = 5;
/** How many containers one finding names. */
const MAX_NAMED = 5;
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
  /** The TCP ports at which agents call each other. */
  readonly ports: readonly number[];
  /** Whether calls between this agent and others fail. */
  readonly isCut: boolean;
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
  const containers = facts.containers.slice(0, MAX_CONTAINERS);
  const hidden: AttachedContainer[] = [];
  const seen = (await inBatches(containers, async (container) => {
    const view = await probe.readContainer(container.netns);
    if (view === "not permitted") hidden.push(container);
    if (view === "not permitted" || !view) return [];
    const end = view.hostEnds.get(container.interfaceName);
    const hostEnd = links.find(({ index }) =>
      index !== undefined && index === end
    );
    return [{ ...container, view, hostEnd }];
  })).flat();
  const bridges = checkBridges(facts, seen);
  const entering = checkContainers(probe, facts, seen);
  const [inside, outside, ways, drops] = await Promise.all([
    entering.then(({ checks }) => checks),
    // A container with a fault of its own says nothing of the peers.
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
    ...suspects.map((drop) => dropCheck(drop, facts.isCut)),
  ];
}

function dropCheck(
  { rule, isCertain, isPartial, traffic, command: text, harm }: DropRule,
  isCut: boolean,
): Check {
  const fix = command(text, harm);
  const name = "packet filter";
  if (traffic === "calls") {
    return {
      name,
      status: isCut ? "failed" : "warning",
      found: `"${rule}" drops calls of agents`,
      means: "agents behind it do not reach each other",
      fix,
    };
  }
  return {
    name,
    status: "failed",
    found: isCertain
      ? `"${rule}" drops packets of containers`
      : isPartial
      ? `"${rule}" drops packets of some containers`
      : `"${rule}" may be what drops packets of containers`,
    means: UNREACHED,
    fix,
  };
}

async function readDrops(
  probe: PathProbe,
  { subnets, networks, interfaces, ports, peers }: PacketFacts,
): Promise<DropRule[]> {
  const links = interfaces?.links ?? [];
  const query: DropQuery = {
    subnets,
    networks,
    owned: [...subnets, ...peers.flatMap((peer) => peer.subnets)],
    ports,
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

/**
 * Whether a packet gets into each container, and from it to its gateway's host.
 *
 * @returns `sound`: the containers in which nothing is wrong
 */
async function checkContainers(
  probe: PathProbe,
  facts: PacketFacts,
  seen: readonly Seen[],
): Promise<{ readonly checks: Check[]; readonly sound: readonly Seen[] }> {
  const found = await inBatches(
    seen,
    (container) => checkContainer(probe, facts, { container, seen }),
  );
  const wrong = found.flat();
  const sound = seen.filter((_, at) => found[at]!.length === 0);
  if (wrong.length > 0 || seen.length === 0) return { checks: wrong, sound };
  const text = `packets get into ${countOf(seen.length)}`;
  const check = passed("container", text + ofAll(seen, facts.containers));
  return { checks: [check], sound };
}

/**
 * Whether packets get into containers whose namespaces the agent may not enter,
 * and out of them: an answer to an address of this host outside of their subnet
 * takes the container's route to its gateway.
 */
async function checkHidden(
  probe: PathProbe,
  facts: PacketFacts,
  hidden: readonly AttachedContainer[],
): Promise<Check[]> {
  if (hidden.length === 0) return [];
  const answers = await inBatches(hidden, async ({ id, addresses }) => {
    try {
      return await Promise.all(
        addresses.map((address) => pingHidden(probe, facts, { id, address })),
      );
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return [{ id, address: "", answer: "unknown" as const }];
    }
  });
  const found = answers.flat();
  const silent = found.filter(({ answer }) => answer === "none");
  const fix =
    'look into it as root with "nsenter --net=NAMESPACE ip route"; an agent with CAP_SYS_ADMIN looks by itself';
  if (silent.length > 0) {
    return silent.map(({ id, address }) => ({
      name: "container",
      status: "failed",
      found:
        `container "${id}": ${address} does not answer, and this agent cannot look into it`,
      means: "the container is not reached, or reaches nothing",
      fix,
    }));
  }
  const unsure = new Set(
    found.filter(({ answer }) => answer !== "everywhere").map(({ id }) => id),
  );
  const sound = hidden.length - unsure.size;
  return [
    ...sound === 0
      ? []
      : [passed("container", `packets get into ${countOf(sound)} and back`)],
    ...unsure.size === 0 ? [] : [{
      name: "container",
      status: "warning" as const,
      found: `cannot look into ${
        [...unsure].map((id) => `"${id}"`).slice(0, MAX_NAMED).join(", ")
      }${
        unsure.size > MAX_NAMED ? ` and ${unsure.size - MAX_NAMED} more` : ""
      }, and got no answer for an address outside of the subnet`,
      means: "its default route may be missing, or there is no such address",
      fix,
    }],
  ];
}

/** Pings an address of a container from its gateway and from another address of this host. */
async function pingHidden(
  probe: PathProbe,
  { subnets, interfaces }: PacketFacts,
  { id, address }: { readonly id: string; readonly address: Address },
): Promise<
  {
    readonly id: string;
    readonly address: string;
    readonly answer: "everywhere" | "gateway" | "none";
  }
> {
  const subnet = subnetOf(subnets, address);
  const gateway = subnet && linkOfGateway(interfaces?.links ?? [], subnet)
    ? { source: gatewayOf(subnet) }
    : {};
  const other = interfaces?.links.flatMap(({ addresses }) => addresses).find(
    (held) =>
      held.address.family === address.family && held.scope === "global" &&
      subnetOf(subnets, held.address) === undefined,
  );
  const [near, far] = await Promise.all([
    probe.ping(address, gateway),
    other && probe.ping(address, { source: other.address }),
  ]);
  return {
    id,
    address: formatAddress(address),
    answer: !near.isAnswered
      ? "none"
      : far?.isAnswered
      ? "everywhere"
      : "gateway",
  };
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
  const inside = (lines: readonly string[]) =>
    command(
      lines.map((line) => `nsenter --net=${netns} ${line}`).join(" && "),
    );
  const own = view.links.find(({ name }) => name === interfaceName);
  if (!own) {
    return failed(
      `it has no interface "${interfaceName}"`,
      "start the container again",
    );
  }
  // The kernel drops routes with the address or the link that they need.
  const gateways = addresses.flatMap((address) => {
    const subnet = subnetOf(subnets, address);
    return subnet && !isRouted(view, { family: address.family, networks })
      ? [`ip route add default via ${formatAddress(gatewayOf(subnet))}`]
      : [];
  });
  if (!own.isUp) {
    return failed(
      `its "${interfaceName}" is down`,
      inside([`ip link set dev ${interfaceName} up`, ...gateways]),
    );
  }
  for (const address of addresses) {
    const text = formatAddress(address);
    const subnet = subnetOf(subnets, address);
    const twin = seen.find((other) =>
      other.netns !== netns && hasAddress(other.view, address)
    );
    if (twin) {
      const [held] = twin.view.links.flatMap(({ name, addresses }) =>
        addresses.filter((other) => isSameAddress(other.address, address))
          .map(({ prefix }) => ({ name, length: prefix.length }))
      );
      return failed(
        `${text} is also an address of container "${twin.id}", which does not hold it`,
        command(
          `nsenter --net=${twin.netns} ip address delete ${text}/${held?.length} dev ${held?.name}`,
          "that container loses the address",
        ),
      );
    }
    if (!hasAddress(view, address)) {
      return failed(
        `its "${interfaceName}" does not have ${text}, which it holds`,
        subnet
          ? inside([
            `ip address add ${text}/${subnet.length} dev ${interfaceName}`,
            ...gateways,
          ])
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
    if (gateways.length > 0) {
      return failed(
        "it has no route to the cluster's networks",
        inside(gateways),
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
      "see the other findings; otherwise the container drops it, or its port at the bridge is blocked: bridge -d link show",
    );
  }
  return [];
}

function subnetOf(
  subnets: readonly Prefix[],
  address: Address,
): Prefix | undefined {
  const host = prefixOf(address, addressBits(address.family));
  return subnets.find((prefix) => containsPrefix(prefix, host));
}

/** Whether a container has a route to one of the networks through a gateway. */
function isRouted(
  { routes }: ContainerView,
  { family, networks }: {
    readonly family: Family;
    readonly networks: readonly Prefix[];
  },
): boolean {
  return routes.some(({ destination, gateway }) =>
    gateway?.family === family &&
    (destination === undefined ||
      networks.some((network) => containsPrefix(destination, network)))
  );
}

function hasAddress({ links }: ContainerView, address: Address): boolean {
  return links.some(({ addresses }) =>
    addresses.some((held) => isSameAddress(held.address, address))
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
  const checks = await inBatches(
    paths,
    ({ peer, subnet }) =>
      checkPeerPackets(probe, facts, { peer, subnet, seen }),
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

/** Does something for each item, some of them at once. */
async function inBatches<T, U>(
  items: readonly T[],
  work: (item: T) => Promise<U>,
): Promise<U[]> {
  const results: U[] = [];
  for (let at = 0; at < items.length; at += BATCH) {
    const batch = items.slice(at, at + BATCH);
    results.push(...await Promise.all(batch.map(work)));
  }
  return results;
}

function countOf(containers: number): string {
  return containers === 1 ? "1 container" : `${containers} containers`;
}

/** Says of how many containers some are, unless they are all. */
function ofAll(some: readonly unknown[], all: readonly unknown[]): string {
  return some.length === all.length ? "" : ` of ${all.length}`;
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
