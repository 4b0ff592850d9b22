import type { Address } from "../net/address.ts";

/** What the cluster's authority has to know of its nodes. */
export interface KnownNodes {
  /** Whether the cluster has a node of that name, with or without an agent. */
  has(name: string): Promise<boolean>;
  /** The node whose name differs from another at most in case, as names of hosts do not; undefined when there is none. */
  alike(name: string): Promise<string | undefined>;
  /**
   * The node that is reached at an address; undefined when none is.
   *
   * @param except a node that is left out
   */
  reachedAt(address: Address, except: string): Promise<string | undefined>;
}
