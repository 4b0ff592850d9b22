import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

/** A host, such as a container, that uses an address. */
export interface AddressUser {
  /** Its link-layer address. */
  readonly macAddress: string;
  /** The interface of this host behind which it is, such as the bridge. */
  readonly device: string;
  /** The port of the bridge behind which it is; empty: not known. */
  readonly port: string;
}

/** An interface of a container. */
export interface ContainerInterface {
  /** Path of the network namespace. */
  readonly netns: string;
  readonly interfaceName: string;
}

/** The user of a link-layer address. */
export interface MacUser<C extends ContainerInterface> {
  /** Texts of addresses. */
  readonly addresses: ReadonlySet<string>;
  readonly containers: ReadonlySet<C>;
}

/** Finds the addresses that are in use on this host, whoever gave them out. */
export interface NeighbourLookup {
  /**
   * The users of addresses of some subnets, by the text of the address. Never
   * throws: what it cannot read is not among them.
   *
   * @param maxAgeMs how old the answer may be. 0: it also asks those again that
   * are known only because they once answered
   */
  find(
    subnets: readonly Prefix[],
    maxAgeMs: number,
  ): Promise<ReadonlyMap<string, AddressUser>>;
  /**
   * Records a user that answered, so that `find` returns it even when the bridge
   * has forgotten its port.
   */
  remember(address: Address, user: AddressUser): void;
  /**
   * Asks hosts that have been silent for long, some at a time, so that `find`
   * returns those that answer.
   *
   * @param isHeld whether an allocation holds an address: these are not asked
   */
  wake(
    subnets: readonly Prefix[],
    isHeld: (address: Address) => boolean,
  ): Promise<void>;
  /**
   * Whether an address of a subnet stays in use: the link of a container that has just ended
   * goes within moments.
   */
  staysInUse(address: Address, subnet: Prefix): Promise<boolean>;
  /** Whether an address of a subnet answers now, to a ping or to ARP. Never throws. */
  isInUse(address: Address, subnet: Prefix): Promise<boolean>;
  /**
   * The addresses of subnets that a link-layer address answers for, and the
   * containers that have it. Never throws: it leaves out what it cannot read.
   *
   * @param macAddress in lower case, with colons
   */
  findMac<C extends ContainerInterface>(
    macAddress: string,
    within: {
      readonly subnets: readonly Prefix[];
      readonly containers: readonly C[];
    },
  ): Promise<MacUser<C>>;
  /** The host's end of the link of a container's interface; undefined when it is not known. */
  portOf(
    container: ContainerInterface,
  ): Promise<string | undefined>;
}

/** A user as text for people. */
export function formatUser({ macAddress, device, port }: AddressUser): string {
  const behind = port === "" ? "" : `, behind its port "${port}"`;
  return `${macAddress} on "${device}"${behind}`;
}
