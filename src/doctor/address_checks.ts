import { type AddressUser, formatUser } from "../addresses/neighbours.ts";
import { NetError } from "../base/error.ts";
import { mapBounded } from "../base/map_bounded.ts";
import type { PathProbe } from "../host/path_probe.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { exclusionOf, formatPrefix, type Prefix } from "../net/prefix.ts";
import type { HostLink } from "../routes/plan/ip_json.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import { type Neighbour, resolutionOf } from "../host/plan/probe_output.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import { type Check, command, passed, shell } from "../host/checks/check.ts";

/** Addresses probed at once. */
const PINGS_AT_ONCE = 16;
/** Most addresses probed: more would tell nothing new. */
const MAX_PINGS = 64;

/** The facts that the check of addresses in use needs. */
export interface AddressFacts {
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** Undefined when they cannot be read. */
  readonly interfaces: HostInterfaces | undefined;
  /** Whether a container holds an address, or it is reserved for nobody. */
  readonly isHeld: (address: Address) => Promise<boolean>;
  /** Called with each address that the checks warn about. */
  readonly onUsed: (address: Address, user: AddressUser) => void;
}

/**
 * Finds addresses of this node's subnets that are in use on its bridge and that
 * no container holds: a line each. An entry of the neighbour table that a
 * removed container has left behind does not count.
 */
export async function checkAddresses(
  probe: PathProbe,
  facts: AddressFacts,
): Promise<Check[]> {
  const checks = await Promise.all(facts.subnets.map(async (subnet) => {
    const link = linkOfGateway(facts.interfaces?.links ?? [], subnet);
    if (!link) return [];
    try {
      return await checkSubnet(subnet, probe, { ...facts, link });
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return [
        {
          name: "address",
          status: "warning",
          found: error.message,
          means:
            "whether addresses are in use that no container holds is not known",
          fix: "install iproute2",
        } satisfies Check,
      ];
    }
  }));
  return checks.flat();
}

async function checkSubnet(
  subnet: Prefix,
  probe: PathProbe,
  { isHeld, onUsed, link }: AddressFacts & { readonly link: HostLink },
): Promise<Check[]> {
  const neighbours = await probe.neighbours(subnet, link.name);
  const unknown: Neighbour[] = [];
  for (const neighbour of neighbours) {
    const { address } = neighbour;
    if (resolutionOf(neighbour) === "none") continue;
    if (exclusionOf(subnet, address) !== undefined) continue;
    if (!await isHeld(address)) unknown.push(neighbour);
  }
  const answering = await findAnswering(probe, unknown.slice(0, MAX_PINGS));
  const ports = unknown.length > 0
    ? await probe.bridgePorts(link.name)
    : new Map<string, string>();
  const used = unknown.filter(({ address, macAddress }) =>
    answering.has(address) || ports.has(macAddress)
  );
  if (used.length === 0) {
    return [
      passed(
        "address",
        `each address of ${
          formatPrefix(subnet)
        } in use on "${link.name}" is held by a container or reserved`,
      ),
    ];
  }
  return used.map(({ address, macAddress }): Check => {
    const text = formatAddress(address);
    const port = ports.get(macAddress) ?? "";
    const user = { macAddress, device: link.name, port };
    onUsed(address, user);
    return {
      name: "address",
      status: "warning",
      found: `${text} is in use by ${
        formatUser(user)
      }, and no container holds it`,
      means: "no container gets it while it is in use",
      // The agent does not give it out, whatever uses it.
      fix: command(
        shell`stellar-net ip reserve ${text} --reason ${`in use by ${macAddress}`}`,
      ),
    };
  });
}

/** The addresses that answer a ping, which no host has to do. Without `ping`, none. */
async function findAnswering(
  probe: PathProbe,
  neighbours: readonly Neighbour[],
): Promise<Set<Address>> {
  const answering = new Set<Address>();
  try {
    await mapBounded(neighbours, async ({ address }) => {
      if ((await probe.ping(address)).isAnswered) answering.add(address);
    }, { atOnce: PINGS_AT_ONCE });
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
  }
  return answering;
}
