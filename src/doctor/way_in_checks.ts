import { NetError } from "../base/error.ts";
import { type Check, command, shell } from "../host/checks/check.ts";
import type { PathProbe } from "../host/path_probe.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import { formatAddress } from "../net/address.ts";
import {
  addressAt,
  gatewayOf,
  type Prefix,
  usableRange,
} from "../net/prefix.ts";
import type { ClusterNode } from "../registry/feed.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";

/** The facts that the ways of packets from peers depend on. */
export interface WayInFacts {
  readonly subnets: readonly Prefix[];
  readonly interfaces: HostInterfaces | undefined;
  readonly peers: readonly ClusterNode[];
}

/** A packet between two containers as this host receives it. */
interface Received {
  readonly from: Prefix;
  readonly to: Prefix;
  /** The interface by which it comes in. */
  readonly device: string;
}

/**
 * Whether the kernel forwards IPv4 packets between the uplink and containers:
 * it drops them because of rp_filter, or where an interface does not forward.
 * Returns only faults.
 */
export async function checkWaysIn(
  probe: PathProbe,
  { subnets, interfaces, peers }: WayInFacts,
): Promise<Check[]> {
  const [own] = subnets.filter(({ family }) => family === 4);
  const bridge = own && linkOfGateway(interfaces?.links ?? [], own);
  if (!own || !bridge?.isUp) return [];
  const found = new Map<string, Check>();
  for (const peer of peers) {
    const theirs = peer.subnets.find(({ family }) => family === 4);
    const nextHop = peer.advertised.find(({ family }) => family === 4);
    if (!theirs || !nextHop) continue;
    try {
      const way = await probe.lookUp(nextHop);
      if (way.kind === "none" || way.isLocal) continue;
      const packets: Received[] = [
        { from: theirs, to: own, device: way.device },
        { from: own, to: theirs, device: bridge.name },
      ];
      for (const packet of packets) {
        const check = await checkReceived(probe, packet);
        if (check) found.set(check.found, check);
      }
    } catch (error) {
      // Other checks say that "ip" is missing.
      if (!(error instanceof NetError)) throw error;
    }
    // One peer is enough to find what is wrong with the interfaces.
    if (found.size > 0) break;
  }
  return [...found.values()];
}

async function checkReceived(
  probe: PathProbe,
  { from, to, device }: Received,
): Promise<Check | undefined> {
  const source = gatewayOf(from);
  const target = addressAt(to, usableRange(to).first);
  const lookup = await probe.lookUp(target, { source, device });
  if (lookup.kind !== "none") return undefined;
  const means = "containers on this host and on others do not reach each other";
  const setting = (name: string, of = device) => `net/ipv4/conf/${of}/${name}`;
  const forwarding = setting("forwarding");
  if (await probe.readSysctl(forwarding) === "0") {
    return {
      name: "forwarding",
      status: "failed",
      found: `"${device}" does not forward: ${
        forwarding.replaceAll("/", ".")
      } is 0`,
      means,
      fix: command(shell`sysctl -w ${forwarding}=1`),
    };
  }
  // The kernel takes the larger of the two; since 6.14 "ip" does not say that
  // it was this.
  const modes = await Promise.all(
    [device, "all"].map((of) => probe.readSysctl(setting("rp_filter", of))),
  );
  const back = await probe.lookUp(source);
  if (Math.max(...modes.map(Number)) !== 1 || back.kind === "none") {
    return undefined;
  }
  if (back.device === device) return undefined;
  return {
    name: "reverse path",
    status: "failed",
    found: `rp_filter of "${device}" drops packets from ${
      formatAddress(source)
    }: this host sends to it by "${back.device}"`,
    means,
    fix: command(shell`sysctl -w ${setting("rp_filter")}=2`),
  };
}
