import { type Address, formatAddress } from "../../net/address.ts";
import { gatewayOf, type Prefix } from "../../net/prefix.ts";

/** The place of a station in this host's network. */
export interface Attachment {
  /** Id of its process, which holds its network namespace. */
  readonly pid: number;
  /** Name of the host's end of its link, at most 15 bytes. */
  readonly linkName: string;
  readonly bridge: string;
  /** MTU of its link in bytes. */
  readonly mtuBytes: number;
  readonly addresses: readonly StationAddress[];
}

/** An address of a station, and the subnet with its gateway. */
export interface StationAddress {
  readonly address: Address;
  readonly subnet: Prefix;
}

/**
 * The lines for `ip -batch` (ip(8)) that attach a station: on the host, then in
 * its namespace. The link and its addresses end with the namespace.
 */
export function planAttachment(
  { pid, linkName, bridge, mtuBytes, addresses }: Attachment,
): { readonly host: readonly string[]; readonly inside: readonly string[] } {
  const families = new Set(addresses.map(({ address }) => address.family));
  const gateways = [...families].map((family) =>
    gatewayOf(
      addresses.find(({ address }) => address.family === family)!.subnet,
    )
  );
  return {
    host: [
      `link add ${linkName} mtu ${mtuBytes} type veth peer name eth0 mtu ${mtuBytes} netns ${pid}`,
      `link set ${linkName} master ${bridge} up`,
    ],
    inside: [
      "link set lo up",
      "link set eth0 up",
      ...addresses.map(({ address, subnet }) =>
        `address add ${formatAddress(address)}/${subnet.length} dev eth0` +
        // The allocator has seen to it that no one else has the address.
        (address.family === 6 ? " nodad" : "")
      ),
      ...gateways.map((gateway) =>
        `route add default via ${formatAddress(gateway)}`
      ),
    ],
  };
}
