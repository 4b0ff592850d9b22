import { type Check, command, passed } from "../host/checks/check.ts";
import type { PathProbe } from "../host/path_probe.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { HostLink } from "../routes/plan/ip_json.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";

/** Sizes that links and tunnels are usually set to, in bytes. */
const USUAL = [576, 1280, 1300, 1350, 1380, 1400, 1420, 1440, 1450, 1460]
  .concat(1472, 1480, 1492, 1500, 4470, 8500, 8900, 8950, 9000, 9216);
/** How many packets are tried at once when the size is none of those. */
const SECTIONS = 8;

/** What links let through beyond their MTU: room for a VLAN tag (IEEE 802.1Q). */
const TAG_BYTES = 4;

/** Options of a search for the largest packet that passes. */
export interface MtuSearchOptions {
  /** Tries a packet of a size, in bytes. */
  readonly probe: (packetBytes: number) => Promise<PingAnswer>;
  /** A size that passes. */
  readonly passes: number;
  /** A larger one that is lost. */
  readonly fails: number;
  /** The largest size that a router on the way reported; undefined for none. */
  readonly hint: number | undefined;
}

/**
 * Finds the largest packet that passes. A packet that is lost takes a second to
 * be known as such: several are tried at once, and mostly that is done twice.
 */
export async function findMtu(options: MtuSearchOptions): Promise<number> {
  let { passes, fails } = options;
  const { probe, hint } = options;
  let sizes = hint === undefined ? USUAL : [hint, hint + 1, ...USUAL];
  while (fails - passes > 1) {
    const between = sizes.filter((size) => size > passes && size < fails);
    if (between.length > 0) {
      const answers = await Promise.all(
        between.map(async (size) => ({ size, ...await probe(size) })),
      );
      passes = Math.max(
        passes,
        ...answers.filter((a) => a.isAnswered).map(({ size }) => size),
      );
      const known = passes;
      fails = Math.min(
        fails,
        ...answers.filter((a) => !a.isAnswered && a.size > known)
          .map(({ size }) => size),
      );
    }
    sizes = sections(passes, fails);
  }
  return passes;
}

/** The MTU that a link probably has which lets packets of a size through, and no larger ones. */
export function likelyMtu(passes: number): number {
  return USUAL.find((size) => size <= passes && passes - size <= TAG_BYTES) ??
    passes;
}

/** Sizes between two: the one next to the smaller, which mostly decides it, and some in between. */
function sections(low: number, high: number): number[] {
  const step = (high - low) / SECTIONS;
  const inner = Array.from(
    { length: SECTIONS - 1 },
    (_, index) => low + Math.ceil(step * (index + 1)),
  );
  return [...new Set([low + 1, ...inner])];
}

/** Bytes of a packet that both families carry, as a ping has without a size. */
const SMALL_BYTES = 84;

/** What the MTU is checked against. */
export interface MtuFacts {
  /** The interface that leads to the peer. */
  readonly device: string;
  /** What became of a small ping. */
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
      links.map(({ name }) => `ip link set dev ${name} mtu ${mtu}`)
        .join(" && "),
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
