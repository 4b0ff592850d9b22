import { type Check, command, passed, shell } from "../host/checks/check.ts";
import type { PathProbe } from "../host/path_probe.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import { findMtu, likelyMtu } from "../probe/plan/mtu_search.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { HostLink } from "../routes/plan/ip_json.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";

/** Bytes of a packet that both families carry, as a ping has without a size. */
const SMALL_BYTES = 84;

/** The facts that the check of the MTU needs. */
export interface MtuFacts {
  /** The interface that leads to the peer. */
  readonly device: string;
  /** The outcome of a small ping. */
  readonly answer: PingAnswer;
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** Undefined when they cannot be read. */
  readonly interfaces: HostInterfaces | undefined;
}

/**
 * Whether packets as large as containers and this host may send them get to a
 * peer in one piece.
 *
 * @throws {NetError} `unavailable` when `ping` cannot send any more
 */
export async function checkMtuTo(
  nextHop: Address,
  probe: PathProbe,
  facts: MtuFacts,
): Promise<Check[]> {
  const { device, answer, subnets, interfaces } = facts;
  const links = interfaces?.links ?? [];
  const uplink = links.find(({ name }) => name === device);
  if (!uplink) return [];
  const text = formatAddress(nextHop);
  if (!answer.isAnswered) {
    return [{
      name: "mtu",
      status: "warning",
      found: `${text} answers no ping`,
      means: "how large packets to it may be is not known",
      fix:
        "see whether its host is up; if it is, let its packet filter accept ICMP echo requests",
    }];
  }
  const full = await probe.ping(nextHop, { packetBytes: uplink.mtuBytes });
  if (full.isAnswered) {
    return [
      passed(
        "mtu",
        `packets of ${uplink.mtuBytes} bytes, the MTU of "${device}", get to ${text}`,
      ),
    ];
  }
  const passes = await findMtu({
    probe: (packetBytes) => probe.ping(nextHop, { packetBytes }),
    passes: SMALL_BYTES,
    fails: uplink.mtuBytes,
    hint: full.mtuBytes,
  });
  const bridges = subnets.filter(({ family }) => family === nextHop.family)
    .flatMap((subnet) => linkOfGateway(links, subnet) ?? []);
  const wide = bridges.find(({ mtuBytes }) => mtuBytes > passes);
  return [describe(text, { passes, uplink, bridges, wide })];
}

function describe(
  address: string,
  { passes, uplink, bridges, wide }: {
    readonly passes: number;
    readonly uplink: HostLink;
    readonly bridges: readonly HostLink[];
    readonly wide: HostLink | undefined;
  },
): Check {
  const mtu = likelyMtu(passes);
  const found =
    `packets of ${passes} bytes get to ${address}, larger ones do not: "${uplink.name}" has an MTU of ${uplink.mtuBytes}`;
  const narrow = (links: readonly HostLink[]) =>
    command(
      links.map(({ name }) => shell`ip link set dev ${name} mtu ${mtu}`),
    );
  // Containers on a narrower bridge send nothing that is lost.
  if (bridges.length > 0 && !wide) {
    return {
      name: "mtu",
      status: "warning",
      found: `${found}, and "${bridges[0]!.name}" ${bridges[0]!.mtuBytes}`,
      means: "containers are not affected; what the hosts send each other is",
      fix: narrow([uplink]),
    };
  }
  return {
    name: "mtu",
    status: "failed",
    found: wide ? `${found}, and "${wide.name}" ${wide.mtuBytes}` : found,
    means:
      `large packets of containers are lost: connections are made and hang; new containers need "mtu": ${mtu} in the CNI configuration`,
    fix: narrow(wide ? [uplink, wide] : [uplink]),
  };
}
