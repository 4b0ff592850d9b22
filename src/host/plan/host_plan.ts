import { type Address, compareAddresses, quote } from "../../net/address.ts";
import {
  containsPrefix,
  gatewayOf,
  type InterfaceAddress,
  type Prefix,
} from "../../net/prefix.ts";
import {
  acceptRules,
  type ForwardChange,
  type ForwardFilter,
  planForward,
} from "./forward_plan.ts";
import { type HostLink, linksHolding } from "../../routes/plan/ip_json.ts";
import { masqueradeRules, masqueradeState } from "./nft_plan.ts";
import type { NftTable } from "./nft_json.ts";
import { type HostInterfaces, uplinksOf } from "../../routes/plan/uplink.ts";

/** The desired state of this host, apart from its routes. Empty: a host without an agent. */
export interface HostDesired {
  /** The bridge that the agent creates and addresses; undefined for none. */
  readonly bridge?: {
    readonly name: string;
    /** Undefined keeps the kernel's choice. */
    readonly mtuBytes?: number;
  };
  /** The subnets of this node. Empty: it forwards nothing. */
  readonly subnets: readonly Prefix[];
  /** The cluster's networks. */
  readonly networks: readonly Prefix[];
  /** Whether the host's address replaces the source of traffic that leaves the cluster's networks. */
  readonly masquerade: boolean;
  /** Whether the agent may add accept rules to packet filters of other programs. Default: it may. */
  readonly forwardRules?: boolean;
}

/** The state of this host. Undefined parts cannot be read; `problems` say why. */
export interface HostState {
  /** Whether the agent's programs may change the network (CAP_NET_ADMIN, capabilities(7)). */
  readonly isNetAdmin: boolean;
  readonly interfaces: HostInterfaces | undefined;
  /** Values by path below /proc/sys, such as `net/ipv4/ip_forward`. A value that cannot be read is missing. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** The agent's own table of nftables; empty for none. */
  readonly tables: readonly NftTable[] | undefined;
  readonly filters: readonly ForwardFilter[] | undefined;
  readonly problems: readonly HostProblem[];
}

/** Why a part of the host cannot be read. */
export interface HostProblem {
  /** The program that failed. */
  readonly tool: string;
  readonly message: string;
}

/** A change of this host. */
export type HostOperation =
  | {
    readonly kind: "create_bridge";
    readonly name: string;
    readonly macAddress: string;
  }
  | { readonly kind: "set_up" | "delete_bridge"; readonly name: string }
  | {
    readonly kind: "set_mtu";
    readonly name: string;
    readonly mtuBytes: number;
  }
  | {
    readonly kind: "add_address" | "delete_address";
    readonly name: string;
    readonly address: InterfaceAddress;
  }
  | {
    readonly kind: "set_sysctl";
    /** Below /proc/sys. */
    readonly path: string;
    readonly value: string;
  }
  | { readonly kind: "replace_table"; readonly rules: readonly string[] }
  | { readonly kind: "delete_table" }
  | ForwardChange;

/** The setting for forwarding, by family. */
export const FORWARDING = {
  4: "net/ipv4/ip_forward",
  6: "net/ipv6/conf/all/forwarding",
} as const;

const BRIDGE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/;

/**
 * Checks the name of a bridge.
 *
 * @throws {RangeError} when the kernel, `ip` or nft could misread it
 */
export function parseBridgeName(text: string): string {
  // These two mean all interfaces below /proc/sys/net.
  if (BRIDGE_NAME.test(text) && text !== "all" && text !== "default") {
    return text;
  }
  throw new RangeError(
    `${
      quote(text)
    } is not a name for a bridge: use 1 to 15 letters, digits, dots, hyphens and underscores, a letter or digit first, and not "all" or "default"`,
  );
}

/** The addresses of the bridge: the gateway of each subnet, with the subnet's prefix. */
export function gatewayAddresses(
  subnets: readonly Prefix[],
): InterfaceAddress[] {
  return subnets.map((prefix) => ({ address: gatewayOf(prefix), prefix }));
}

/**
 * The addresses of a link that are gateways of subnets in the networks which
 * this node does not have (any more). With one, the CNI bridge plugin fails and
 * this host takes another node's subnet for its own. An address with another
 * prefix length than this node's own subnet of that network is not a gateway of a
 * subnet: Docker's network is often in the default network.
 */
export function strangeGateways(
  { addresses }: HostLink,
  { subnets, networks }: Pick<HostDesired, "subnets" | "networks">,
): InterfaceAddress[] {
  const own = gatewayAddresses(subnets);
  return addresses.filter((held) =>
    compareAddresses(held.address, gatewayOf(held.prefix)) === 0 &&
    networks.some((network) =>
      containsPrefix(network, held.prefix) &&
      subnets.some((subnet) =>
        subnet.length === held.prefix.length && containsPrefix(network, subnet)
      )
    ) && !own.some(({ address }) =>
      compareAddresses(address, held.address) === 0
    )
  );
}

/** Path of a setting of an interface, below /proc/sys. */
export function interfaceSysctl(
  setting: "rp_filter" | "accept_ra",
  name: string,
): string {
  const family = setting === "rp_filter" ? "ipv4" : "ipv6";
  return `net/${family}/conf/${name}/${setting}`;
}

/** The settings that plans and checks read, as paths below /proc/sys. */
export function relevantSysctls(
  interfaces: HostInterfaces,
  bridge: string | undefined,
): string[] {
  const devices = uplinkDevices(interfaces);
  return [
    FORWARDING[4],
    FORWARDING[6],
    ...["all", ...devices, ...bridge === undefined ? [] : [bridge]]
      .map((name) => interfaceSysctl("rp_filter", name)),
    ...devices.map((name) => interfaceSysctl("accept_ra", name)),
  ];
}

/**
 * The changes that bring this host into its desired state, in their order. The
 * plan leaves alone all that cannot be read, and all that is not the agent's.
 *
 * @param former gateways of subnets that the node has lost, which the agent
 * itself put on the bridge
 */
export function planHost(
  desired: HostDesired,
  state: HostState,
  former: readonly InterfaceAddress[] = [],
): HostOperation[] {
  return [
    ...planBridge(desired, state, former),
    ...planForwarding(desired, state),
    ...planMasquerade(desired, state),
    ...(state.filters ?? []).flatMap((filter) =>
      planForward(
        filter,
        desired.forwardRules === false ? [] : acceptRules(desired),
      )
    ),
  ];
}

function planBridge(
  { bridge, subnets, networks }: HostDesired,
  { interfaces }: HostState,
  former: readonly InterfaceAddress[],
): HostOperation[] {
  if (!bridge || !interfaces) return [];
  const { name, mtuBytes } = bridge;
  const link = interfaces.links.find((l) => l.name === name);
  if (link && link.kind !== "bridge") return [];
  const operations: HostOperation[] = [];
  const wanted = gatewayAddresses(subnets);
  if (!link) {
    const [first] = wanted;
    // A node without a subnet has no containers.
    if (!first) return [];
    const macAddress = macAddressOf(first.address);
    operations.push({ kind: "create_bridge", name, macAddress });
  }
  if (mtuBytes !== undefined && link?.mtuBytes !== mtuBytes) {
    operations.push({ kind: "set_mtu", name, mtuBytes });
  }
  if (!link?.isUp) operations.push({ kind: "set_up", name });
  for (const address of wanted) {
    // On two interfaces the subnet's traffic would be split.
    if (linksHolding(interfaces.links, address.address).length > 0) continue;
    operations.push({ kind: "add_address", name, address });
  }
  // Without a subnet, the agent does not know yet which gateway is its own.
  const strange = link && subnets.length > 0
    ? strangeGateways(link, { subnets, networks })
    : [];
  const gone = former.filter((f) => !strange.some((s) => isSame(s, f)));
  for (const address of [...strange, ...gone]) {
    const isWanted = wanted.some((w) => isSame(w, address));
    if (isWanted || !link?.addresses.some((a) => isSame(a, address))) continue;
    operations.push({ kind: "delete_address", name, address });
  }
  return operations;
}

function planForwarding(
  { subnets }: HostDesired,
  { interfaces, sysctls }: HostState,
): HostOperation[] {
  const isOff = (family: 4 | 6) =>
    sysctls.get(FORWARDING[family]) === "0" &&
    subnets.some((subnet) => subnet.family === family);
  const operations: HostOperation[] = [];
  if (isOff(4)) {
    operations.push({ kind: "set_sysctl", path: FORWARDING[4], value: "1" });
  }
  if (!isOff(6)) return operations;
  // A router ignores router advertisements, and the kernel drops the default
  // route that came with one, unless accept_ra is 2 (the kernel's ip-sysctl).
  const uplinks = interfaces ? uplinkDevices(interfaces) : [];
  for (const name of uplinks) {
    const path = interfaceSysctl("accept_ra", name);
    if (sysctls.get(path) !== "1") continue;
    operations.push({ kind: "set_sysctl", path, value: "2" });
  }
  operations.push({ kind: "set_sysctl", path: FORWARDING[6], value: "1" });
  return operations;
}

function planMasquerade(
  desired: HostDesired,
  { tables }: HostState,
): HostOperation[] {
  if (!tables) return [];
  const rules = desiredMasquerade(desired);
  const state = masqueradeState(tables, rules);
  if (state === "foreign") return [];
  if (rules.length === 0) {
    return state === "absent" ? [] : [{ kind: "delete_table" }];
  }
  return state === "in place" ? [] : [{ kind: "replace_table", rules }];
}

/** The rules of the agent's table, or none. */
export function desiredMasquerade(desired: HostDesired): string[] {
  const { masquerade, subnets, networks, bridge } = desired;
  if (!masquerade) return [];
  const options = { subnets, networks };
  return masqueradeRules(
    bridge ? { ...options, bridge: bridge.name } : options,
  );
}

/** The interface that has the gateway of a subnet; undefined for none. */
export function linkOfGateway(
  links: readonly HostLink[],
  subnet: Prefix,
): HostLink | undefined {
  return linksHolding(links, gatewayOf(subnet))[0];
}

/** Whether addresses and prefix lengths are equal. */
export function isSame(a: InterfaceAddress, b: InterfaceAddress): boolean {
  return compareAddresses(a.address, b.address) === 0 &&
    a.prefix.length === b.prefix.length;
}

/**
 * A locally administered hardware address. A bridge without one takes that of
 * its ports in turn, and containers lose their gateway each time. A bridge that
 * is made again needs the same address.
 */
function macAddressOf({ family, value }: Address): string {
  const bits = family === 4 ? value : (value >> 64n) & 0xffffffffn;
  const hex = (0x0253_0000_0000n | bits).toString(16).padStart(12, "0");
  return hex.match(/../g)!.join(":");
}

function uplinkDevices(interfaces: HostInterfaces): string[] {
  return [...new Set(uplinksOf(interfaces).map(({ device }) => device))];
}
