import { formatAddress } from "../../src/net/address.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import type { FakeIp } from "./fake_ip.ts";
import type { FakeRoute } from "./fake_route_table.ts";

/** The commands that would build the state of a fake, in order. */
export function formatCommands({ kernel }: FakeIp): string[] {
  const links = [...kernel.links.values()];
  return [
    // The second of a pair comes right behind the first.
    ...links.filter((_, index) => index % 2 === 0).map(({ name, peer }) =>
      `link add ${name} type veth peer name ${peer}`
    ),
    // IPv6 addresses do not outlast a link that goes down.
    ...links.flatMap(({ name, isUp, addresses }) => [
      ...isUp ? [`link set ${name} up`] : [],
      ...addresses.map(({ address, prefix }) =>
        `address add ${formatAddress(address)}/${prefix.length} dev ${name}`
      ),
    ]),
    ...formatWays({ kernel }, ({ protocol }) => protocol !== 2),
  ];
}

/** The commands that would add the routes that a condition holds for, a way of an IPv6 multipath each. */
export function formatWays(
  { kernel }: Pick<FakeIp, "kernel">,
  condition: (route: FakeRoute) => boolean,
): string[] {
  return [...kernel.tables[4].routes, ...kernel.tables[6].routes]
    .filter(condition).map(formatRouteCommand);
}

function formatRouteCommand(route: FakeRoute): string {
  const { destination, type, protocol, metric, tos, source, ways } = route;
  const formatted = ways.map(({ gateway, device, isOnlink }) =>
    [
      gateway ? `via ${formatAddress(gateway)}` : "",
      type === "unicast" ? `dev ${device}` : "",
      isOnlink ? "onlink" : "",
    ].filter((word) => word !== "").join(" ")
  );
  return [
    "route append",
    type === "unicast" ? "" : type,
    formatPrefix(destination),
    ways.length > 1 ? "" : formatted.join(""),
    `proto ${protocol}`,
    metric === 0 ? "" : `metric ${metric}`,
    tos && `tos ${tos}`,
    source && `src ${source}`,
    ...ways.length > 1 ? formatted.map((way) => `nexthop ${way}`) : [],
  ].filter((word) => word !== "").join(" ");
}
