import type { Address } from "../net/address.ts";
import type { HostOperation, HostState } from "./plan/host_plan.ts";
import type { NftTable } from "./plan/nft_json.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";

/** The outcome of an operation. */
export interface HostOutcome {
  readonly operation: HostOperation;
  /** The error of the program; undefined when the operation was carried out. */
  readonly error?: string;
}

export interface HostMonitorOptions {
  /** Ends the monitor, without an error. */
  readonly signal: AbortSignal;
}

/** Reads and changes the network of this host, apart from its routes. */
export interface HostNetwork {
  /**
   * Reads the interfaces, their addresses and the default routes.
   *
   * @throws {NetError} `unavailable` when `ip` is missing or fails
   */
  readInterfaces(): Promise<HostInterfaces>;

  /**
   * This host's address from which the kernel sends to another one; undefined
   * when it cannot send there.
   *
   * @throws {NetError} `unavailable` when `ip` is missing
   */
  sourceToward(destination: Address): Promise<Address | undefined>;

  /**
   * Reads everything that plans and checks need. Never fails: a part that
   * cannot be read is undefined, and `problems` say why.
   *
   * @param bridge name of a bridge whose settings are read, too
   */
  read(bridge: string | undefined): Promise<HostState>;

  /**
   * Reads the tables of nftables, also those of iptables-nft, that rewrite
   * sources.
   *
   * @throws {NetError} `unavailable` when nft is missing or fails
   */
  readSourceNat(): Promise<NftTable[]>;

  /**
   * Carries out operations, one after the other. A failure does not stop the
   * others. Never fails itself.
   */
  apply(operations: readonly HostOperation[]): Promise<HostOutcome[]>;

  /**
   * Yields when packet filters may have changed, and when changes may have been
   * missed. Several changes may be one event; the changes that
   * {@linkcode apply} made are none. Continues until it is ended. Interfaces and
   * addresses announce their changes with the routes.
   */
  monitor(options: HostMonitorOptions): AsyncIterable<void>;
}
