import { NetError } from "../base/error.ts";
import type { PathProbe } from "../host/path_probe.ts";
import { type Address, addressBits, formatAddress } from "../net/address.ts";
import { containsAddress, prefixOf } from "../net/prefix.ts";
import {
  type Neighbour,
  type PingAnswer,
  resolutionOf,
} from "../host/plan/probe_output.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import { linksHolding } from "../routes/plan/ip_json.ts";
import {
  AS_ROOT,
  type Check,
  command,
  passed,
  shell,
} from "../host/checks/check.ts";

/** Most requests to a next hop while the kernel still resolves it. */
const ATTEMPTS = 3;

/** The findings about a next hop. */
export interface NextHopFindings {
  readonly nextHop: Address;
  /** The interface that it is directly connected to; undefined when it is not. */
  readonly device: string | undefined;
  /** Undefined when it was not asked, or is not there to be asked. */
  readonly answer: PingAnswer | undefined;
  readonly checks: readonly Check[];
}

/**
 * Whether the address that a peer advertises is directly connected, and
 * somebody there answers for it.
 *
 * @throws {NetError} `unavailable` when `ip` is missing or fails
 */
export async function checkNextHop(
  peer: string,
  probe: PathProbe,
  facts: {
    readonly nextHop: Address;
    readonly interfaces: HostInterfaces | undefined;
  },
): Promise<NextHopFindings> {
  const { nextHop, interfaces } = facts;
  const text = formatAddress(nextHop);
  const lookup = await probe.lookUp(nextHop);
  const failed = (found: string, fix: Check["fix"]): NextHopFindings => ({
    nextHop,
    device: undefined,
    answer: undefined,
    checks: [{
      name: "next hop",
      status: "failed",
      found,
      means: "no route can lead through it",
      fix,
    }],
  });
  const connect =
    `connect both hosts to one link, and run the agent of "${peer}" with --advertise and its address there`;
  if (lookup.kind === "none") {
    const down = interfaces?.links.find(({ isUp, addresses }) =>
      !isUp && addresses.some(({ prefix }) => containsAddress(prefix, nextHop))
    );
    return down
      ? failed(
        `${text} is reached through "${down.name}", which is down`,
        command(shell`ip link set dev ${down.name} up`),
      )
      : failed(
        `${text}: ${lookup.why}`,
        `give this host an address on the link of ${text}, or a route to it`,
      );
  }
  const { isLocal, device, gateway } = lookup;
  if (isLocal) {
    const [holder] = linksHolding(interfaces?.links ?? [], nextHop);
    return failed(
      `${text} is an address of this host, on "${holder?.name ?? device}"`,
      `run the agent of "${peer}" with --advertise and an address of its own`,
    );
  }
  if (gateway) {
    return failed(
      `${text} is not directly connected: it is reached through ${
        formatAddress(gateway)
      } on "${device}"`,
      connect,
    );
  }
  const { answer, neighbour, problem } = await ask(probe, { nextHop, device });
  const neighbourCheck = checkNeighbour(neighbour, {
    address: text,
    peer,
    device,
    answer,
  });
  return {
    nextHop,
    device,
    answer: neighbourCheck.status === "failed" ? undefined : answer,
    checks: [
      passed("next hop", `${text} is directly connected, on "${device}"`),
      ...problem ? [problem] : [],
      neighbourCheck,
    ],
  };
}

/** The outcome of asking for the link-layer address of a next hop. */
interface Asked {
  /** Undefined when nobody could ask. */
  readonly answer: PingAnswer | undefined;
  /** Undefined when the kernel knows nothing of it. */
  readonly neighbour: Neighbour | undefined;
  /** Why nobody could ask. */
  readonly problem?: Check;
}

/** Makes the kernel resolve the neighbour: it asks three times, a second apart (arp(7)). */
async function ask(
  probe: PathProbe,
  { nextHop, device }: {
    readonly nextHop: Address;
    readonly device: string;
  },
): Promise<Asked> {
  const host = prefixOf(nextHop, addressBits(nextHop.family));
  const look = async () => (await probe.neighbours(host, device))[0];
  for (let attempt = 1;; attempt++) {
    let answer: PingAnswer;
    try {
      answer = await probe.ping(nextHop);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      const problem = describePing(error.message);
      return { answer: undefined, neighbour: await look(), problem };
    }
    const neighbour = await look();
    const isAsking = neighbour?.states.includes("INCOMPLETE") ?? false;
    if (!isAsking || attempt === ATTEMPTS) return { answer, neighbour };
  }
}

function describePing(found: string): Check {
  return {
    name: "ping",
    status: "warning",
    found,
    means:
      "whether the next hop answers, and how large packets may be, is not known",
    fix: found.includes("Operation not permitted")
      ? AS_ROOT
      : "install iputils-ping",
  };
}

function checkNeighbour(
  neighbour: Neighbour | undefined,
  { address, peer, device, answer }: {
    readonly address: string;
    readonly peer: string;
    readonly device: string;
    readonly answer: PingAnswer | undefined;
  },
): Check {
  const state = neighbour?.states.join(" ") ?? "";
  const mac = neighbour?.macAddress ?? "";
  const resolution = neighbour ? resolutionOf(neighbour) : "old";
  if (resolution === "none") {
    return {
      name: "neighbour",
      status: "failed",
      found: `nobody on "${device}" answers for ${address} (${state})`,
      means: `the host "${peer}" is down, or not on the link of "${device}"`,
      fix:
        `switch "${peer}" on, see its cable and VLAN, and that it has ${address}: ip address show to ${address}`,
    };
  }
  if (
    neighbour?.states.includes("PERMANENT") && answer && !answer.isAnswered
  ) {
    return {
      name: "neighbour",
      status: "failed",
      found:
        `a permanent entry says that ${address} is at ${mac} on "${device}", and it does not answer`,
      means: `packets to the host "${peer}" go to another one, or nowhere`,
      fix: command(
        shell`ip neighbour delete ${address} dev ${device}`,
        "whoever added that entry loses it",
      ),
    };
  }
  if (resolution === "sure" || answer === undefined || answer.isAnswered) {
    return passed(
      "neighbour",
      mac === ""
        ? `${address} needs no link-layer address on "${device}"`
        : `${address} is ${mac} on "${device}" (${state})`,
    );
  }
  return {
    name: "neighbour",
    status: "warning",
    found: neighbour
      ? `${address} was ${mac} on "${device}" (${state}), and does not answer`
      : `${address} does not answer on "${device}"`,
    means: `the host "${peer}" may be down, or answers no ping`,
    fix: `look again in 10 s: ip neighbour show to ${address}`,
  };
}
