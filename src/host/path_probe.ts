import type { Address, Family } from "../net/address.ts";
import type { ContainerView } from "./plan/container_view.ts";
import type { NftTable } from "./plan/nft_json.ts";
import type { PolicyRule } from "./plan/policy_rules.ts";
import type { Prefix } from "../net/prefix.ts";
import type { KernelRoute } from "../routes/plan/kernel_route.ts";
import type {
  Neighbour,
  PingAnswer,
  RouteLookup,
} from "./plan/probe_output.ts";

/** The origin of forwarded packets. */
export interface ForwardedFrom {
  /** Not an address of this host. */
  readonly source: Address;
  /** The interface by which they come in. */
  readonly device: string;
}

export interface PingOptions {
  /** Size of the packet with its headers; it is never fragmented. Default: a small packet. */
  readonly packetBytes?: number;
  /** This host's address from which it is sent. Default: the kernel's choice. */
  readonly source?: Address;
  /** Hosts that the packet may get to; the last one reports it if it has to go on. Default: enough for every path. */
  readonly hops?: number;
  /** Path of the network namespace from which it is sent. Default: the agent's own. */
  readonly netns?: string;
}

/** Examines the path to an address. Changes nothing. */
export interface PathProbe {
  /**
   * The kernel's route to an address, for packets of this host or for forwarded
   * packets.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  lookUp(destination: Address, from?: ForwardedFrom): Promise<RouteLookup>;
  /**
   * The routes of the main table to a prefix and to prefixes within it.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  routesWithin(prefix: Prefix): Promise<KernelRoute[]>;
  /**
   * The policy rules of a family.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  rules(family: Family): Promise<PolicyRule[]>;
  /**
   * The neighbours on an interface whose addresses are in a prefix.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  neighbours(within: Prefix, device: string): Promise<Neighbour[]>;
  /**
   * The ports of a bridge by the link-layer addresses behind them. Empty for an
   * interface that is not a bridge.
   *
   * @throws {NetError} `unavailable` when `bridge` is missing
   */
  bridgePorts(bridge: string): Promise<ReadonlyMap<string, string>>;
  /**
   * Sends echo requests until one is answered, for at most a second.
   *
   * @throws {NetError} `unavailable` when `ping` is missing or cannot send
   */
  ping(address: Address, options?: PingOptions): Promise<PingAnswer>;
  /**
   * A container's network; undefined when its namespace is gone. Never fails.
   *
   * @returns `not permitted` without the right to enter the namespace (CAP_SYS_ADMIN)
   */
  readContainer(
    netns: string,
  ): Promise<ContainerView | "not permitted" | undefined>;
  /**
   * A setting of the kernel; undefined when there is none.
   *
   * @param path below /proc/sys
   */
  readSysctl(path: string): Promise<string | undefined>;
  /**
   * The tables of nftables, iptables-nft and iptables-legacy whose rules can
   * drop packets of containers.
   *
   * @throws {NetError} `unavailable` when nft is missing or fails
   */
  dropTables(): Promise<NftTable[]>;
}
