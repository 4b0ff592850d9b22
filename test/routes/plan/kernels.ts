import fc from "fast-check";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { IpRoutes } from "../../../src/routes/ip_routes.ts";
import type { DesiredRoute } from "../../../src/routes/plan/desired_route.ts";
import type { KernelState } from "../../../src/routes/plan/kernel_route.ts";
import { FakeIp } from "../../fake/fake_ip.ts";

/** The mark of our own routes. */
export const PROTOCOL = 83;

/** How a host is before routes are added to it: the commands that make it so. */
export const HOST: readonly string[] = [
  "link add up0 type veth peer name far0",
  "link add up1 type veth peer name far1",
  ...["up0", "far0", "up1", "far1"].map((name) =>
    `link set ${name} addrgenmode none`
  ),
  "link set far0 up",
  "link set far1 up",
  "address add 198.18.0.1/24 dev up0",
  "address add 198.18.1.1/24 dev up1",
  "link set up0 up",
  "address add 2001:db8::1/64 dev up0 nodad",
];

const IPV4 = ["172.16.4.0/22", "172.16.8.0/22", "172.16.8.0/24", "0.0.0.0/0"];
const IPV6 = ["fd00:4::/64", "fd00:8::/64"];

/** Next hops: some on link, one on a link that is down, one of this host, one nowhere. */
const NEXT_HOPS_IPV4 = ["198.18.0.2", "198.18.0.3", "198.18.1.2", "198.18.0.1"]
  .concat("198.18.9.9");
const NEXT_HOPS_IPV6 = ["2001:db8::2", "2001:db8::3", "2001:db8::1", "fe80::2"];

/** A host with an `up0` that is up, an `up1` that is down, and what more commands make of it. */
export async function createFakeHost(
  commands: readonly string[] = [],
): Promise<FakeIp> {
  const ip = new FakeIp();
  for (const command of [...HOST, ...commands]) await type(ip, command);
  return ip;
}

/** Runs a command, whether it is carried out or refused. */
export async function type(ip: FakeIp, command: string): Promise<void> {
  await ip.run({ program: "ip", args: command.split(" ") });
}

/** What the agent reads of a host. */
export function readKernel(ip: FakeIp): Promise<KernelState> {
  return new IpRoutes({ runner: ip, follower: ip }).read();
}

/** Makes a desired route of a node, such as `172.16.4.0/22 via 198.18.0.2`. */
export function desire(text: string, node = "b"): DesiredRoute {
  const [destination, nextHop] = text.split(" via ");
  return {
    destination: parsePrefix(destination!),
    nextHop: parseAddress(nextHop!),
    origin: { kind: "node", node },
  };
}

/** Any routes to want, some of them to one destination. */
export const anyDesire: fc.Arbitrary<readonly DesiredRoute[]> = fc.array(
  fc.oneof(
    pair(IPV4, NEXT_HOPS_IPV4),
    pair(IPV6, NEXT_HOPS_IPV6),
  ).map((text) => desire(text)),
  { maxLength: 8 },
);

/** Any commands that put routes there, ours and others', as it should not be. */
export const anyRoutes: fc.Arbitrary<readonly string[]> = fc.array(
  fc.oneof(
    routeCommand(IPV4, "198.18.0"),
    routeCommand(IPV6, "2001:db8:"),
  ),
  { maxLength: 12 },
);

function pair(
  destinations: readonly string[],
  nextHops: readonly string[],
): fc.Arbitrary<string> {
  return fc.tuple(
    fc.constantFrom(...destinations),
    fc.constantFrom(...nextHops),
  )
    .map(([destination, nextHop]) => `${destination} via ${nextHop}`);
}

function routeCommand(
  destinations: readonly string[],
  network: string,
): fc.Arbitrary<string> {
  const separator = network.includes(":") ? ":" : ".";
  const host = fc.constantFrom(2, 3, 77);
  const gateway = host.map((n) => `${network}${separator}${n}`);
  return fc.record({
    to: fc.constantFrom(...destinations),
    // Most are ours.
    protocol: fc.constantFrom(PROTOCOL, PROTOCOL, PROTOCOL, 4),
    metric: fc.constantFrom("", "", " metric 50", " metric 1025"),
    way: fc.oneof(
      { weight: 4, arbitrary: gateway.map((gw) => `via ${gw}`) },
      gateway.map((gw) => `via ${gw} dev up0 onlink`),
      gateway.map((gw) => `via ${gw} tos 0x10`),
      fc.constant("dev up0"),
      fc.tuple(gateway, gateway)
        .map(([a, b]) => `nexthop via ${a} nexthop via ${b}`),
      fc.constant("blackhole"),
    ),
  }).map(({ to, protocol, metric, way }) => {
    const mark = `proto ${protocol}${metric}`;
    return way === "blackhole"
      ? `route append blackhole ${to} ${mark}`
      : way.startsWith("nexthop")
      ? `route append ${to} ${mark} ${way}`
      : `route append ${to} ${way} ${mark}`;
  });
}
