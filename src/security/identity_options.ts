import type { Store } from "../store/store.ts";
import type { Lifetimes } from "./certificates.ts";
import type { KnownNodes } from "./known_nodes.ts";
import type { StoreMarks } from "./transaction.ts";

/** What a registry of identities is opened with. */
export interface IdentityRegistryOptions {
  /** The registry's store. */
  readonly store: Store;
  readonly clusterId: string;
  /** The time in ms since 1970. */
  readonly now: () => number;
  readonly nodes: KnownNodes;
  /** How long certificates last, where it differs from `DEFAULT_LIFETIMES`. */
  readonly lifetimes?: Partial<Lifetimes>;
  /** What forbids changes in the store. Default: nothing. */
  readonly marks?: StoreMarks;
}

/** The same, with what it leaves out. */
export interface ResolvedOptions extends IdentityRegistryOptions {
  readonly lifetimes: Lifetimes;
}
