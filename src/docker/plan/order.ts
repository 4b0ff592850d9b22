import {
  containsAddress,
  formatPrefix,
  gatewayOf,
  type Prefix,
} from "../../net/prefix.ts";
import { formatAddress, parseAddress } from "../../net/address.ts";
import { NETWORK_OPTION } from "./call.ts";
import type { DockerNetwork } from "./networks.ts";

/** Name of the IPAM driver, and of its socket without `.sock`. */
export const DRIVER = "stellar-net";

/** A network of Docker as this node needs it. */
export interface WantedNetwork {
  readonly name: string;
  /** The bridge of the node's containers. */
  readonly bridge: string;
  /** The node's subnets: one IPv4, and one IPv6 where there is one. */
  readonly subnets: readonly Prefix[];
  /** Undefined: Docker's default. */
  readonly mtuBytes: number | undefined;
}

const BRIDGE_NAME = "com.docker.network.bridge.name";
const MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade";
const MTU = "com.docker.network.driver.mtu";

/** The subnets of a node that a network of Docker can have: the first of each family. */
export function subnetsForDocker(subnets: readonly Prefix[]): Prefix[] {
  return ([4, 6] as const).flatMap((family) =>
    subnets.find((subnet) => subnet.family === family) ?? []
  );
}

/**
 * The body of Docker's call that creates a network (Engine API,
 * NetworkCreate). It names its subnets, because Docker takes `--ip` only then.
 */
export function networkBody(
  { name, bridge, subnets, mtuBytes }: WantedNetwork,
): Readonly<Record<string, unknown>> {
  return {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    EnableIPv6: subnets.some(({ family }) => family === 6),
    IPAM: {
      Driver: DRIVER,
      Options: { [NETWORK_OPTION]: name },
      Config: subnets.map((subnet) => ({ Subnet: formatPrefix(subnet) })),
    },
    Options: {
      [BRIDGE_NAME]: bridge,
      [MASQUERADE]: "false",
      ...mtuBytes !== undefined && { [MTU]: String(mtuBytes) },
    },
  };
}

/** A difference that breaks containers, or their addresses. */
export interface NetworkFault {
  readonly is: string;
  readonly means: string;
}

/** The faults of a network of Docker; none when it is as this node needs it. */
export function faultsOf(
  network: DockerNetwork,
  wanted: {
    /** Undefined: any. */
    readonly bridge: string | undefined;
    readonly subnets: readonly Prefix[];
  },
): NetworkFault[] {
  const { driver, ipamDriver, options, pools } = network;
  const faults: NetworkFault[] = [];
  const add = (is: string, means: string) => faults.push({ is, means });
  if (driver !== "bridge") {
    add(`its driver is ${driver}`, "its containers are not on the bridge");
    return faults;
  }
  if (ipamDriver !== DRIVER) {
    add(
      `its IPAM driver is ${ipamDriver}`,
      "Docker gives its containers addresses that the ledger does not know",
    );
  }
  const bridge = options[BRIDGE_NAME] ?? "a bridge of its own";
  if (wanted.bridge !== undefined && bridge !== wanted.bridge) {
    add(
      `its bridge is ${bridge}, not ${wanted.bridge}`,
      "its containers do not reach those of other runtimes",
    );
  }
  if (options[MASQUERADE] !== "false") {
    add(
      "it masquerades",
      "other hosts see this host's address in place of the container's",
    );
  }
  const texts = wanted.subnets.map(formatPrefix);
  for (const { subnet, gateway } of pools) {
    if (!texts.includes(subnet)) {
      add(
        `its subnet is ${subnet}, and this node's is ${texts.join(" and ")}`,
        "other hosts have no route to it",
      );
    } else if (!isGateway(gateway, wanted.subnets)) {
      add(
        `its gateway is ${gateway}`,
        "the bridge has another address, so that its containers reach nothing outside",
      );
    }
  }
  return faults;
}

/** Whether a network of Docker concerns this node: its addresses, or its bridge. */
export function concerns(
  { ipamDriver, options }: DockerNetwork,
  bridge: string | undefined,
): boolean {
  return ipamDriver === DRIVER ||
    bridge !== undefined && options[BRIDGE_NAME] === bridge;
}

/** The networks that share a bridge with another one: Docker lets only one work. */
export function sharedBridges(
  networks: readonly DockerNetwork[],
): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { name, options } of networks) {
    const bridge = options[BRIDGE_NAME];
    if (bridge !== undefined) {
      names.set(bridge, [...names.get(bridge) ?? [], name]);
    }
  }
  return new Map([...names].filter(([, sharing]) => sharing.length > 1));
}

/** Docker leaves the gateway out where its driver chose it. */
function isGateway(text: string, subnets: readonly Prefix[]): boolean {
  if (text === "") return true;
  const address = parseAddress(text.split("/")[0]!);
  const subnet = subnets.find((each) => containsAddress(each, address));
  return subnet !== undefined &&
    formatAddress(gatewayOf(subnet)) === formatAddress(address);
}
