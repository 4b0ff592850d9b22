import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { KernelRoute } from "../routes/plan/kernel_route.ts";
import type {
  Neighbour,
  PingAnswer,
  RouteLookup,
} from "./plan/probe_output.ts";

/** Where packets come from that are forwarded. */
export interface ForwardedFrom {
  /** Not an address of this host. */
  readonly source: Address;
  /** The interface that they come in by. */
  readonly device: string;
}

/** Options of a ping. */
export interface PingOptions {
  /** Size of the packet, headers included; it is not fragmented. By default a small one. */
  readonly packetBytes?: number;
}

/** Looks at the path to an address, and tries it. Changes nothing. */
export interface PathProbe {
  /**
   * Where the kernel sends packets to an address: those of this host, or those
   * that it forwards.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  lookUp(destination: Address, from?: ForwardedFrom): Promise<RouteLookup>;
  /**
   * The routes of the main table to a prefix and to parts of it.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  routesWithin(prefix: Prefix): Promise<KernelRoute[]>;
  /**
   * What the kernel knows of the neighbours on an interface whose addresses
   * lie in a prefix.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  neighbours(within: Prefix, device: string): Promise<Neighbour[]>;
  /**
   * The ports of a bridge by the link-layer addresses that it has seen behind
   * them. None for an interface that is no bridge.
   *
   * @throws {NetError} `unavailable` when `bridge` is missing
   */
  bridgePorts(bridge: string): Promise<ReadonlyMap<string, string>>;
  /**
   * Sends echo requests until one is answered, for a second at most.
   *
   * @throws {NetError} `unavailable` when `ping` is missing or cannot send
   */
  ping(address: Address, options?: PingOptions): Promise<PingAnswer>;
}
