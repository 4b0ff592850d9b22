import { getLogger } from "@logtape/logtape";
import { formatOwner } from "../base/names.ts";
import { formatAddress } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Allocator } from "./allocator.ts";
import { formatUser, type NeighbourLookup } from "./neighbours.ts";
import type { Allocation } from "./plan/allocation.ts";

const log = getLogger(["stellar-net", "agent", "neighbours"]);

/** Containers whose link one check looks up: the next check continues. */
const LOOKUPS = 32;

/**
 * Finds hosts that use an address that a container holds: the neighbour table
 * has them behind another port than the container's.
 */
export class SecondUsers {
  readonly #neighbours: NeighbourLookup;
  /** Whether the port is the container's own, by allocation and port. */
  #isOwn = new Map<string, boolean>();
  #warnings: readonly string[] = [];

  constructor(neighbours: NeighbourLookup) {
    this.#neighbours = neighbours;
  }

  /** The findings of the last check, for people. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Checks the users of this node's addresses, and logs those that are new. */
  async check(
    allocator: Allocator,
    subnets: readonly Prefix[],
  ): Promise<void> {
    const held = new Map<string, Allocation>();
    for (const allocation of await allocator.select(() => true)) {
      for (const { address } of allocation.addresses) {
        held.set(formatAddress(address), allocation);
      }
    }
    await this.#neighbours.wake(
      subnets,
      (address) => held.has(formatAddress(address)),
    );
    if (held.size === 0) {
      // An idle agent reads the table no second time.
      this.#isOwn = new Map();
      this.#warnings = [];
      return;
    }
    const known = new Map<string, boolean>();
    const warnings: string[] = [];
    let lookups = 0;
    for (const [text, user] of await this.#neighbours.find(subnets, 0)) {
      const allocation = held.get(text);
      if (!allocation?.attachment || user.port === "") continue;
      const key = JSON.stringify([allocation.id, user.port]);
      let isOwn = this.#isOwn.get(key);
      if (isOwn === undefined) {
        if (++lookups > LOOKUPS) continue;
        const { owner: { interfaceName }, attachment: { netns } } = allocation;
        const port = await this.#neighbours.portOf({ netns, interfaceName });
        if (port === undefined) continue;
        isOwn = port === user.port;
      }
      known.set(key, isOwn);
      if (isOwn) continue;
      const owner = formatOwner(allocation.owner);
      const warning = `${text} of ${owner} is also in use by ${
        formatUser(user)
      }: packets for the container go there`;
      warnings.push(warning);
      if (!this.#isOwn.has(key)) log.error("{warning}", { warning });
    }
    // An entry that flips between two users is known in both ways.
    const ids = new Set([...held.values()].map(({ id }) => id));
    for (const [key, isOwn] of this.#isOwn) {
      const [id] = JSON.parse(key) as [string];
      if (ids.has(id) && !known.has(key)) known.set(key, isOwn);
    }
    this.#isOwn = known;
    this.#warnings = warnings;
  }
}
