import { formatAddress } from "../../net/address.ts";
import { containsAddress, formatPrefix, gatewayOf } from "../../net/prefix.ts";
import type { HostLink } from "../../routes/plan/ip_json.ts";
import {
  type HostDesired,
  type HostState,
  linkOfGateway,
  strangeGateways,
} from "../plan/host_plan.ts";
import { uplinksOf } from "../../routes/plan/uplink.ts";
import { type Check, command, fixOf, passed, shell } from "./check.ts";

/** Whether the bridge exists and the agent may use it. */
export function checkBridge(
  desired: HostDesired,
  state: HostState,
): Check[] {
  const { bridge, networks, subnets } = desired;
  if (!bridge || !state.interfaces) return [];
  const link = state.interfaces.links.find(({ name }) => name === bridge.name);
  const failed = (found: string, means: string, fix: Check["fix"]): Check[] => [
    { name: "bridge", status: "failed", found, means, fix },
  ];
  const fix = fixOf("bridge", desired, state);
  const means = "containers on it reach nothing but each other";
  if (!link) {
    if (subnets.length === 0) return [];
    return failed(
      `there is no interface "${bridge.name}"`,
      "there is nothing to attach containers to",
      fix,
    );
  }
  if (link.kind !== "bridge") {
    return failed(
      `"${bridge.name}" is ${
        link.kind === "" ? "a device" : `of kind ${link.kind}`
      }, not a bridge`,
      "the agent leaves it as it is, and containers have no gateway",
      "give --bridge another name",
    );
  }
  if (fix !== "") {
    return failed(
      link.isUp
        ? `"${bridge.name}" has an MTU of ${link.mtuBytes}`
        : `"${bridge.name}" is down`,
      means,
      fix,
    );
  }
  const foreign = link.addresses.filter(({ address }) =>
    networks.some((network) => containsAddress(network, address)) &&
    !subnets.some((subnet) => containsAddress(subnet, address))
  );
  return [
    passed("bridge", `"${bridge.name}" is up`),
    ...foreign.map(({ address, prefix }): Check => {
      const text = `${formatAddress(address)}/${prefix.length}`;
      return {
        name: "bridge",
        status: "warning",
        found: `"${bridge.name}" has ${text}, too, of another node's subnet`,
        means: "this host takes that subnet for its own and does not reach it",
        fix: command(
          shell`ip address delete ${text} dev ${bridge.name}`,
          `what uses that address of "${bridge.name}" loses it`,
        ),
      };
    }),
  ];
}

/** Whether a bridge still has the gateway of an earlier subnet, or of another node's. */
export function checkStrangeGateways(
  desired: HostDesired,
  { interfaces }: HostState,
): Check[] {
  if (!interfaces || desired.subnets.length === 0) return [];
  return interfaces.links.filter(({ kind, name }) =>
    kind === "bridge" && name !== desired.bridge?.name
  ).flatMap((link) =>
    strangeGateways(link, desired).map(({ address, prefix }): Check => {
      const text = `${formatAddress(address)}/${prefix.length}`;
      return {
        name: "bridge",
        status: "failed",
        found:
          `"${link.name}" has ${text}, the gateway of a subnet that this node does not have`,
        means:
          "the CNI bridge plugin refuses to add containers, and this host does not reach that subnet",
        fix: command(
          shell`ip address delete ${text} dev ${link.name}`,
          "containers that still have addresses of that subnet lose their gateway",
        ),
      };
    })
  );
}

/** Whether each subnet's gateway is on the interface that it belongs to. */
export function checkGateways(
  desired: HostDesired,
  state: HostState,
): Check[] {
  const { links } = state.interfaces ?? { links: [] };
  const { bridge, subnets } = desired;
  return !state.interfaces ? [] : subnets.map((subnet): Check => {
    const gateway = formatAddress(gatewayOf(subnet));
    const holder = linkOfGateway(links, subnet);
    const failed = (
      found: string,
      means: string,
      fix: Check["fix"],
    ): Check => ({
      name: "gateway",
      status: "failed",
      found,
      means,
      fix,
    });
    if (!holder) {
      return bridge
        ? failed(
          `${gateway} is on no interface`,
          "containers reach nothing outside of this host",
          fixOf("gateway", desired, state),
        )
        : passed(
          "gateway",
          `${gateway} is on no interface yet: the CNI bridge plugin puts it there with the first container`,
        );
    }
    const text = `${gateway}/${subnet.length}`;
    if (bridge && holder.name !== bridge.name) {
      return failed(
        `${gateway} is on "${holder.name}", not on "${bridge.name}"`,
        "containers on the bridge have no gateway",
        command(
          shell`ip address delete ${
            cidrOn(holder, gateway)
          } dev ${holder.name}`,
          `what uses that address of "${holder.name}" loses it`,
        ),
      );
    }
    const held = cidrOn(holder, gateway);
    if (held !== text) {
      return failed(
        `"${holder.name}" has ${held}; the subnet is ${formatPrefix(subnet)}`,
        "a part of the subnet's containers is not reached, or of others' is taken for it",
        command(
          shell`ip address delete ${held} dev ${holder.name} && ip address add ${text} dev ${holder.name}`,
          "connections of this host from that address end",
        ),
      );
    }
    return passed("gateway", `${text} is on "${holder.name}"`);
  });
}

/** Whether the largest packets of containers fit through the uplink. */
export function checkMtu(
  { bridge, subnets }: HostDesired,
  { interfaces }: HostState,
): Check[] {
  if (!interfaces) return [];
  const { links } = interfaces;
  const inner = new Set(
    subnets.flatMap((subnet) => linkOfGateway(links, subnet) ?? [])
      .concat(links.filter(({ name }) => name === bridge?.name)),
  );
  const uplink = uplinksOf(interfaces)
    .sort((a, b) => a.mtuBytes - b.mtuBytes)[0];
  return !uplink ? [] : [...inner].map(({ name, mtuBytes }): Check => {
    const found =
      `"${name}" has ${mtuBytes}, the uplink "${uplink.device}" ${uplink.mtuBytes}`;
    return mtuBytes <= uplink.mtuBytes ? passed("mtu", found) : {
      name: "mtu",
      status: "warning",
      found,
      means:
        `containers send packets that do not fit: they are fragmented, or lost where the notice of it is dropped; new containers need "mtu": ${uplink.mtuBytes} in the CNI configuration`,
      fix: command(shell`ip link set dev ${name} mtu ${uplink.mtuBytes}`),
    };
  });
}

function cidrOn(link: HostLink, address: string): string {
  const held = link.addresses.find((a) => formatAddress(a.address) === address);
  return `${address}/${held?.prefix.length}`;
}
