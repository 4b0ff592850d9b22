import { parseInterfaceAddress, parsePrefix } from "../../../src/net/prefix.ts";
import { formatOperation } from "../../../src/host/plan/host_command.ts";
import type { HostLink } from "../../../src/routes/plan/ip_json.ts";
import {
  type HostDesired,
  type HostState,
  planHost,
} from "../../../src/host/plan/host_plan.ts";

/** The desired state of a host, in texts: `subnets` and `networks` separated by spaces. */
export function hostDesired(options: {
  readonly subnets?: string;
  readonly networks?: string;
  readonly bridge?: NonNullable<HostDesired["bridge"]>;
  readonly masquerade?: boolean;
} = {}): HostDesired {
  const { bridge, masquerade = false } = options;
  return {
    ...(bridge && { bridge }),
    subnets: prefixes(options.subnets ?? "172.16.0.0/22"),
    networks: prefixes(options.networks ?? "172.16.0.0/12"),
    masquerade,
  };
}

/** An interface in texts: addresses with their prefix lengths. */
export function hostLink(
  name: string,
  kind: string,
  addresses: readonly string[] = [],
): HostLink {
  return {
    name,
    kind,
    isUp: true,
    mtuBytes: 1500,
    addresses: addresses.map((text) => ({
      ...parseInterfaceAddress(text),
      scope: "global",
      isTransient: false,
    })),
  };
}

/** A host in its desired state, but for what is given. */
export function hostState(changes: Partial<HostState> = {}): HostState {
  return {
    isNetAdmin: true,
    interfaces: { links: [], defaultRoutes: [] },
    sysctls: new Map([
      ["net/ipv4/ip_forward", "1"],
      ["net/ipv6/conf/all/forwarding", "1"],
    ]),
    tables: [],
    filters: [],
    problems: [],
    ...changes,
  };
}

/** The commands of a plan. */
export function hostCommands(
  desired: HostDesired,
  state: HostState,
  former: readonly string[] = [],
): string[] {
  return planHost(desired, state, former.map(parseInterfaceAddress))
    .map(formatOperation);
}

function prefixes(text: string): HostDesired["subnets"] {
  return text.split(" ").filter((part) => part !== "").map(parsePrefix);
}
