import { type Address, parseAddress } from "../../net/address.ts";
import { parsePrefix, type Prefix } from "../../net/prefix.ts";
import { type HostLink, parseLinks } from "../../routes/plan/ip_json.ts";
import {
  isNumber,
  isText,
  objectOf,
  readRows,
} from "../../routes/plan/tool_json.ts";

/** A container's network, read inside its network namespace. */
export interface ContainerView {
  readonly links: readonly HostLink[];
  /** Indices of the host's ends of its veth pairs, by the container's interface. */
  readonly hostEnds: ReadonlyMap<string, number>;
  /** Link-layer addresses in lower case, by the container's interface. */
  readonly macAddresses: ReadonlyMap<string, string>;
  readonly routes: readonly ContainerRoute[];
}

export interface ContainerRoute {
  /** Undefined for a default route. */
  readonly destination: Prefix | undefined;
  readonly gateway: Address | undefined;
}

const LINK = objectOf({
  ...{ ifname: isText, address: isText },
  link_index: isNumber,
});
const ROUTE = objectOf({ dst: isText, gateway: isText });

/**
 * Reads what `ip -json -batch` printed for `address show` and `route show`.
 *
 * @param routes6 what `ip -json -6 route show` printed; empty for nothing
 * @throws {SyntaxError} when it is not such output
 */
export function parseContainer(text: string, routes6 = ""): ContainerView {
  const [addresses = "", routes = ""] = text.trim().split("\n");
  const rows = readRows(addresses, { program: "ip", check: LINK });
  return {
    links: parseLinks(addresses),
    macAddresses: new Map(
      rows.flatMap(({ ifname, address }) =>
        ifname === undefined || address === undefined
          ? []
          : [[ifname, address.toLowerCase()] as const]
      ),
    ),
    hostEnds: new Map(
      rows.flatMap((link) =>
        link.ifname === undefined || link.link_index === undefined
          ? []
          : [[link.ifname, link.link_index] as const]
      ),
    ),
    routes: [routes, routes6].flatMap((shown) =>
      readRows(shown || "[]", { program: "ip", check: ROUTE }).map((route) => ({
        destination: parseDestination(route.dst),
        gateway: route.gateway === undefined
          ? undefined
          : parseAddress(route.gateway),
      }))
    ),
  };
}

function parseDestination(text: string | undefined): Prefix | undefined {
  if (text === undefined || text === "default") return undefined;
  const bits = text.includes(":") ? 128 : 32;
  return parsePrefix(text.includes("/") ? text : `${text}/${bits}`);
}
