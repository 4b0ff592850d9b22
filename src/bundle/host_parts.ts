/** A program of the host whose output goes into a bundle. */
export interface HostPart {
  /** Path in the bundle. */
  readonly path: string;
  readonly program: string;
  readonly args: readonly string[];
}

/** Facts of the host that an expert asks for. */
export const HOST_PARTS: readonly HostPart[] = ([
  ["host/addresses.txt", "ip", "-d address"],
  ["host/routes.txt", "ip", "route show table all"],
  ["host/routes6.txt", "ip", "-6 route show table all"],
  ["host/rules.txt", "ip", "rule"],
  ["host/rules6.txt", "ip", "-6 rule"],
  ["host/neighbours.txt", "ip", "neigh"],
  ["host/bridge.txt", "bridge", "-d link"],
  ["host/nftables.txt", "nft", "list ruleset"],
  ["host/iptables.txt", "iptables-save", ""],
  ["host/ip6tables.txt", "ip6tables-save", ""],
  [
    "host/forwarding.txt",
    "grep",
    "-r . --include=forwarding --include=rp_filter --include=mtu " +
    "/proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf",
  ],
  ["host/kernel.txt", "grep", ". /proc/version"],
  ["host/system.txt", "grep", ". /etc/os-release"],
  ["host/memory.txt", "grep", ". /proc/meminfo"],
  ["host/cni.txt", "grep", "-rH . /etc/cni/net.d"],
  ["versions/ip.txt", "ip", "-V"],
  ["versions/nft.txt", "nft", "--version"],
] as const).map(([path, program, args]) => ({
  path,
  program,
  args: args === "" ? [] : args.split(" "),
}));

/** Commands of this program whose output goes into a bundle. */
export const AGENT_PARTS: readonly (readonly [path: string, line: string])[] = [
  ["agent/status.txt", "status"],
  ["agent/status.json", "status --json"],
  ["agent/doctor.txt", "doctor --timeout 20s"],
  ["agent/doctor.json", "doctor --timeout 20s --json"],
  ["agent/nodes.txt", "node list"],
  ["agent/nodes.json", "node list --json"],
  ["agent/subnets.txt", "subnet list"],
  ["agent/routes.txt", "route list"],
  ["agent/routes.json", "route list --json"],
  ["agent/extra-routes.txt", "route list --extra"],
  ["agent/route-plan.txt", "route plan"],
  ["agent/addresses.txt", "ip list"],
  ["agent/leaked.txt", "ip list --leaked"],
  ["agent/audit.txt", "audit --limit 500"],
  ["agent/history.txt", "ip history --limit 500"],
  ["host/conflist.json", "cni config"],
  ["versions/stellar-net.txt", "version"],
];

/**
 * The only environment variables that go into a bundle, with secrets in their
 * values replaced.
 */
export const VARIABLES: readonly string[] = [
  ...["NODE", "NETWORK", "SUBNET_PREFIX", "STATE", "SOCKET", "LISTEN"],
  ...["SOCKET_GROUP", "URL", "IDENTITY"],
  ...["ADVERTISE", "JOIN", "STORE", "ROUTES", "ROUTE_PROTOCOL", "BRIDGE"],
  ...["MASQUERADE", "COOL_DOWN", "RECLAIM_AFTER", "KEEP_HISTORY"],
  ...["LEAK_INTERVAL", "LEAK_GRACE", "LOG_FORMAT", "LOG_LEVEL", "METRICS"],
  ...["INSECURE", "TIMEOUT"],
].map((name) => `STELLAR_NET_${name}`);
