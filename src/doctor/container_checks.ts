import { formatUser } from "../addresses/neighbours.ts";
import { NetError } from "../base/error.ts";
import { mapBounded } from "../base/map_bounded.ts";
import { type Check, command, passed, shell } from "../host/checks/check.ts";
import type { PathProbe } from "../host/path_probe.ts";
import type { ContainerView } from "../host/plan/container_view.ts";
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
import type { HostLink } from "../routes/plan/ip_json.ts";
import { isSameAddress } from "../routes/plan/kernel_route.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";

/** Containers or peers that are examined at once: each takes a few processes. */
export const EXAMINED = { atOnce: 32 } as const;
/** Most containers that one finding names. */
const MAX_NAMED = 5;

/** A container that CNI attached to this host. */
export interface AttachedContainer {
  readonly id: string;
  readonly interfaceName: string;
  readonly netns: string;
  readonly addresses: readonly Address[];
}

/** The facts that the checks of containers need. */
export interface ContainerFacts {
  readonly subnets: readonly Prefix[];
  readonly networks: readonly Prefix[];
  readonly interfaces: HostInterfaces | undefined;
  readonly containers: readonly AttachedContainer[];
}

/** A container with its network, and the host's ends of its links. */
export interface SeenContainer extends AttachedContainer {
  readonly view: ContainerView;
  readonly hostEnd: HostLink | undefined;
}

/**
 * Whether a packet gets into each container, and from it to its gateway's host.
 *
 * @returns `sound`: the containers in which nothing is wrong
 */
export async function checkContainers(
  probe: PathProbe,
  facts: ContainerFacts,
  seen: readonly SeenContainer[],
): Promise<
  { readonly checks: Check[]; readonly sound: readonly SeenContainer[] }
> {
  const found = await mapBounded(
    seen,
    (container) => checkContainer(probe, facts, { container, seen }),
    EXAMINED,
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
export async function checkHidden(
  probe: PathProbe,
  facts: ContainerFacts,
  hidden: readonly AttachedContainer[],
): Promise<Check[]> {
  if (hidden.length === 0) return [];
  const answers = await mapBounded(hidden, async ({ id, addresses }) => {
    try {
      return await Promise.all(
        addresses.map((address) => pingHidden(probe, facts, { id, address })),
      );
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return [{ id, address: "", answer: "unknown" as const }];
    }
  }, EXAMINED);
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
  { subnets, interfaces }: ContainerFacts,
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
  { subnets, networks, interfaces }: ContainerFacts,
  { container, seen }: {
    readonly container: SeenContainer;
    readonly seen: readonly SeenContainer[];
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
    command(lines.map((line) => shell`nsenter --net=${netns} ` + line));
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
      ? [shell`ip route add default via ${formatAddress(gatewayOf(subnet))}`]
      : [];
  });
  if (!own.isUp) {
    return failed(
      `its "${interfaceName}" is down`,
      inside([shell`ip link set dev ${interfaceName} up`, ...gateways]),
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
          shell`nsenter --net=${twin.netns} ip address delete ${text}/${
            held!.length
          } dev ${held!.name}`,
          "that container loses the address",
        ),
      );
    }
    if (!hasAddress(view, address)) {
      return failed(
        `its "${interfaceName}" does not have ${text}, which it holds`,
        subnet
          ? inside([
            shell`ip address add ${text}/${subnet.length} dev ${interfaceName}`,
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
            shell`ip link set dev ${hostEnd.name} master ${bridge.name} && ip link set dev ${hostEnd.name} up`,
          ),
        );
      }
      if (!hostEnd.isUp) {
        return failed(
          `its link "${hostEnd.name}" is down`,
          command(shell`ip link set dev ${hostEnd.name} up`),
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
        command(
          shell`ip neighbour delete ${text} dev ${bridge.name}`,
          "whoever added that entry loses it",
        ),
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

function countOf(containers: number): string {
  return containers === 1 ? "1 container" : `${containers} containers`;
}

/** Adds the number of all containers, unless these are all. */
function ofAll(some: readonly unknown[], all: readonly unknown[]): string {
  return some.length === all.length ? "" : ` of ${all.length}`;
}
