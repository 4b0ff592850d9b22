import type { Attachment } from "./text/config.ts";
import type { CniOwner } from "./text/names.ts";
import type { CniRoute, HeldAddress } from "./text/result.ts";

/** A source of addresses: this host's agent, or a service that speaks Stellar's API. */
export interface AddressSource {
  /**
   * Gives an owner its addresses, or returns those that it holds. When this
   * throws, it has undone its own allocation, as far as its time allowed.
   *
   * @throws {CniError}
   */
  allocate(request: SourceRequest): Promise<SourceAllocation>;
  /**
   * Releases an owner's addresses, now or later.
   *
   * @param netns path of the container's network namespace; empty when the
   * runtime named none
   * @throws {CniError}
   */
  release(owner: CniOwner, netns: string): Promise<void>;
  /** The addresses of an owner. @throws {CniError} `check_failed` when there are none */
  held(owner: CniOwner): Promise<readonly HeldAddress[]>;
  /** Releases the addresses of a network's other owners. @throws {CniError} */
  releaseOthers(network: string, keep: readonly Attachment[]): Promise<void>;
  /** Succeeds when ADD would get an address now. @throws {CniError} `not_available` */
  checkReady(): Promise<void>;
}

/** A request for addresses. */
export interface SourceRequest {
  readonly owner: CniOwner;
  /** Specific addresses; empty: any. */
  readonly addresses: readonly string[];
  /** Path of the container's network namespace. */
  readonly netns: string;
}

/** The addresses that an owner got. */
export interface SourceAllocation {
  readonly addresses: readonly HeldAddress[];
  /** Routes that the source adds to those of the configuration. */
  readonly routes: readonly CniRoute[];
  /** Releases the addresses if this call allocated them. Never throws. */
  undo(): Promise<void>;
}
