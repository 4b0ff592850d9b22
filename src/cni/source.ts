import type { Attachment } from "./text/config.ts";
import type { CniOwner } from "./text/names.ts";
import type { CniRoute, HeldAddress } from "./text/result.ts";

/** Where addresses come from: this host's agent, or a service that speaks Stellar's API. */
export interface AddressSource {
  /**
   * Gives an owner its addresses, or returns those it holds. When this throws,
   * nothing is held that was not held before, as far as that could be seen to
   * in time.
   *
   * @throws {CniError}
   */
  allocate(request: SourceRequest): Promise<SourceAllocation>;
  /** Takes an owner's addresses back, now or later. @throws {CniError} */
  release(owner: CniOwner): Promise<void>;
  /** What an owner holds. @throws {CniError} `check_failed` when nothing */
  held(owner: CniOwner): Promise<readonly HeldAddress[]>;
  /** Takes back what a network's other owners hold. @throws {CniError} */
  releaseOthers(network: string, keep: readonly Attachment[]): Promise<void>;
  /** Succeeds when an address could be given now. @throws {CniError} `not_available` */
  checkReady(): Promise<void>;
}

/** Who asks for addresses, and for which. */
export interface SourceRequest {
  readonly owner: CniOwner;
  /** Addresses by number; empty: any. */
  readonly addresses: readonly string[];
  /** Path of the container's network namespace. */
  readonly netns: string;
}

/** What an owner was given. */
export interface SourceAllocation {
  readonly addresses: readonly HeldAddress[];
  /** Routes that the source adds to those of the configuration. */
  readonly routes: readonly CniRoute[];
  /** Takes the addresses back, if this call gave them. Never throws. */
  undo(): Promise<void>;
}
