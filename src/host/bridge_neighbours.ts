import { getLogger } from "@logtape/logtape";
import type {
  AddressUser,
  ContainerInterface,
  MacUser,
  NeighbourLookup,
} from "../addresses/neighbours.ts";
import { mapBounded } from "../base/map_bounded.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { containsAddress, exclusionOf, type Prefix } from "../net/prefix.ts";
import { parseLinks } from "../routes/plan/ip_json.ts";
import type { CommandRunner } from "../system/command.ts";
import type { PathProbe } from "./path_probe.ts";
import {
  type Neighbour,
  parseBridgePorts,
  parseNeighbours,
  resolutionOf,
} from "./plan/probe_output.ts";

/** Silent hosts that are asked at once. */
const WAKE_LIMIT = 16;
/** The kernel takes a network namespace without processes down in this time, in ms. */
const DYING_MS = 3_000;
const DYING_POLL_MS = 200;
/** Namespaces that one search for a link-layer address reads, and those at once. */
const MAX_READ_NETNS = 256;
const READ_NETNS_AT_ONCE = 16;

const log = getLogger(["stellar-net", "agent", "neighbours"]);

/** An entry of the neighbour table, with the port behind which the host is. */
interface Found extends Neighbour {
  /** Empty: not known. */
  readonly port: string;
}

/** Options of {@linkcode BridgeNeighbours}. */
export interface BridgeNeighboursOptions {
  readonly runner: CommandRunner;
  readonly probe: Pick<PathProbe, "ping" | "readContainer">;
  /** Monotonic time, in ms. */
  readonly uptimeMs: () => number;
}

/**
 * Finds the addresses in use behind bridges: those in the kernel's neighbour
 * table whose link-layer address is behind a port of the bridge. The table alone
 * also has containers that ended a while ago; their port is gone. A bridge
 * forgets the port of a host that has been silent for five minutes: such a host
 * counts when it answers.
 */
export class BridgeNeighbours implements NeighbourLookup {
  readonly #options: BridgeNeighboursOptions;
  #last:
    | { readonly atMs: number; readonly found: Promise<readonly Found[]> }
    | undefined;
  /** The last answer of `find`: calls for each container ask for the same. */
  #cached:
    | {
      readonly read: readonly Found[];
      readonly subnets: readonly Prefix[];
      readonly users: ReadonlyMap<string, AddressUser>;
    }
    | undefined;
  /** Users that answered, by the text of their address. */
  readonly #remembered = new Map<string, AddressUser>();

  constructor(options: BridgeNeighboursOptions) {
    this.#options = options;
  }

  async find(
    subnets: readonly Prefix[],
    maxAgeMs: number,
  ): Promise<ReadonlyMap<string, AddressUser>> {
    if (maxAgeMs === 0) {
      await Promise.all([...this.#remembered.keys()].map(async (text) => {
        const isThere = await this.#answers(parseAddress(text));
        if (isThere) return;
        this.#remembered.delete(text);
        this.#cached = undefined;
      }));
    }
    const read = await this.#latest(maxAgeMs);
    const cached = this.#cached;
    const isSame = cached?.read === read &&
      cached.subnets.length === subnets.length &&
      cached.subnets.every((subnet, i) => subnet === subnets[i]);
    if (isSame) return cached.users;
    const users = new Map<string, AddressUser>(this.#remembered);
    for (const entry of within(subnets, read)) {
      if (entry.port !== "") users.set(formatAddress(entry.address), entry);
    }
    this.#cached = { read, subnets: [...subnets], users };
    return users;
  }

  remember(address: Address, user: AddressUser): void {
    this.#remembered.set(formatAddress(address), user);
    this.#cached = undefined;
  }

  async wake(
    subnets: readonly Prefix[],
    isHeld: (address: Address) => boolean,
  ): Promise<void> {
    const silent = within(subnets, await this.#latest(0)).filter((entry) =>
      entry.port === "" && resolutionOf(entry) === "old" &&
      !isHeld(entry.address)
    );
    await Promise.all(
      silent.slice(0, WAKE_LIMIT).map(async (entry) => {
        if (await this.#answers(entry.address)) {
          this.remember(entry.address, entry);
        }
      }),
    );
  }

  async staysInUse(address: Address, subnet: Prefix): Promise<boolean> {
    const text = formatAddress(address);
    for (let waitedMs = 0;; waitedMs += DYING_POLL_MS) {
      // Read again, whatever was read before.
      const users = await this.find([subnet], 1);
      if (!users.has(text) || !await this.#answers(address)) return false;
      if (waitedMs >= DYING_MS) return true;
      await new Promise((resolve) => setTimeout(resolve, DYING_POLL_MS));
    }
  }

  async isInUse(address: Address, subnet: Prefix): Promise<boolean> {
    if (await this.#answers(address)) return true;
    // A container may drop pings; the kernel has asked for its link-layer address.
    const users = await this.find([subnet], 1);
    return users.has(formatAddress(address));
  }

  async findMac<C extends ContainerInterface>(
    macAddress: string,
    { subnets, containers }: {
      readonly subnets: readonly Prefix[];
      readonly containers: readonly C[];
    },
  ): Promise<MacUser<C>> {
    const known = within(subnets, await this.#latest(0))
      .filter((entry) => entry.macAddress === macAddress);
    const addresses = new Set(
      known.map(({ address }) => formatAddress(address)),
    );
    // The table has no container that the host has never talked to.
    if (addresses.size > 0) return { addresses, containers: new Set() };
    const found = new Set<C>();
    await mapBounded(containers.slice(0, MAX_READ_NETNS), async (container) => {
      const { netns, interfaceName } = container;
      const view = await this.#options.probe.readContainer(netns);
      if (view === "not permitted" || !view) return;
      if (view.macAddresses.get(interfaceName) === macAddress) {
        found.add(container);
      }
    }, { atOnce: READ_NETNS_AT_ONCE });
    return { addresses, containers: found };
  }

  async portOf(
    { netns, interfaceName }: ContainerInterface,
  ): Promise<string | undefined> {
    const view = await this.#options.probe.readContainer(netns);
    const end = view === "not permitted"
      ? undefined
      : view?.hostEnds.get(interfaceName);
    if (end === undefined) return undefined;
    const links = parseLinks(await this.#run("ip", ["-json", "address"]));
    return links.find(({ index }) => index === end)?.name;
  }

  /** Whether an address answers now. False where this cannot be found out. */
  async #answers(address: Address): Promise<boolean> {
    try {
      return (await this.#options.probe.ping(address)).isAnswered;
    } catch (error) {
      log.debug("Cannot ask {address}: {error}", {
        address: formatAddress(address),
        error,
      });
      return false;
    }
  }

  /** The table, as it was read at most so long ago. */
  #latest(maxAgeMs: number): Promise<readonly Found[]> {
    const nowMs = this.#options.uptimeMs();
    if (!this.#last || nowMs - this.#last.atMs >= maxAgeMs) {
      this.#last = { atMs: nowMs, found: this.#read() };
    }
    return this.#last.found;
  }

  async #read(): Promise<readonly Found[]> {
    try {
      const neighbours = parseNeighbours(
        await this.#run("ip", ["-json", "neighbour", "show"]),
      ).filter((neighbour) =>
        resolutionOf(neighbour) !== "none" && neighbour.macAddress !== ""
      );
      const devices = new Set(neighbours.map(({ device }) => device));
      const ports = new Map<string, ReadonlyMap<string, string>>();
      for (const device of devices) {
        const args = ["-json", "fdb", "show", "br", device];
        ports.set(device, parseBridgePorts(await this.#run("bridge", args)));
      }
      return neighbours.map((neighbour) => ({
        ...neighbour,
        port: ports.get(neighbour.device)?.get(neighbour.macAddress) ?? "",
      }));
    } catch (error) {
      log.debug("Cannot read the neighbour table: {error}", { error });
      return [];
    }
  }

  /** The output of a program; empty when it fails. */
  async #run(program: string, args: readonly string[]): Promise<string> {
    const command = { program, args: [...args] };
    const { code, stdout } = await this.#options.runner.run(command);
    return code === 0 ? stdout : "[]";
  }
}

/** The entries for addresses of subnets that a container can have. */
function within(
  subnets: readonly Prefix[],
  entries: readonly Found[],
): Found[] {
  return entries.filter(({ address }) =>
    subnets.some((subnet) =>
      containsAddress(subnet, address) &&
      exclusionOf(subnet, address) === undefined
    )
  );
}
