import { type Address, addressBits, parseAddress } from "../net/address.ts";
import { parsePrefix, type Prefix, prefixOf } from "../net/prefix.ts";

/** A prefix that this host reaches by itself, and the interface that leads there. */
export interface HostPrefix {
  readonly prefix: Prefix;
  /** Name of the interface; for a route without one its type, such as `blackhole`. */
  readonly device: string;
}

/**
 * The prefixes of the interfaces in the output of `ip -json address show`
 * (ip-address(8)).
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseInterfacePrefixes(text: string): HostPrefix[] {
  return parseArray(text).flatMap((link) => {
    const { ifname, addr_info } = link as {
      ifname?: string;
      addr_info?: { local?: string; prefixlen?: number }[];
    };
    return (addr_info ?? []).flatMap(({ local, prefixlen }) =>
      local === undefined || prefixlen === undefined ? [] : [{
        prefix: prefixOf(parseAddress(local), prefixlen),
        device: ifname ?? "",
      }]
    );
  });
}

/**
 * The destinations in the output of `ip -json route show` (ip-route(8)),
 * without default routes and without those of one routing protocol.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseRoutePrefixes(
  text: string,
  ownProtocol: number,
): HostPrefix[] {
  return parseArray(text).flatMap((route) => {
    const { dst, dev, type, protocol } = route as {
      dst?: string;
      dev?: string;
      type?: string;
      protocol?: string | number;
    };
    return dst === undefined || dst === "default" ||
        String(protocol) === String(ownProtocol)
      ? []
      : [{ prefix: parseDestination(dst), device: dev ?? type ?? "" }];
  });
}

/** `ip` leaves the length of a host route out. */
function parseDestination(text: string): Prefix {
  if (text.includes("/")) return parsePrefix(text);
  const address: Address = parseAddress(text);
  return prefixOf(address, addressBits(address.family));
}

function parseArray(text: string): unknown[] {
  // `ip` prints nothing at all where there is nothing to show.
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  if (!Array.isArray(value)) throw new SyntaxError("ip printed no list");
  return value;
}
