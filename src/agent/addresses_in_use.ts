import { getLogger } from "@logtape/logtape";
import {
  type AddressUser,
  formatUser,
  type NeighbourLookup,
} from "../addresses/neighbours.ts";
import type { Allocated } from "../addresses/plan/allocation_plan.ts";
import { NetError } from "../base/error.ts";
import type { Owner } from "../base/names.ts";
import type { Member } from "../member/member.ts";
import { formatAddress } from "../net/address.ts";

const log = getLogger(["stellar-net", "agent"]);

/** Age up to which the neighbour table is not read again, in ms. */
export const MAX_AGE_MS = 1_000;

/**
 * The addresses of this node's subnets that hosts other than their holders use:
 * addresses that somebody set by hand, for example.
 */
export class AddressesInUse {
  readonly #node: string;
  readonly #member: Member;
  readonly #neighbours: NeighbourLookup | undefined;
  #users:
    | {
      readonly of: ReadonlyMap<string, AddressUser>;
      readonly texts: ReadonlyMap<string, string>;
    }
    | undefined;

  /** @param options `neighbours` undefined: no address counts as in use */
  constructor(
    { node, member, neighbours }: {
      readonly node: string;
      readonly member: Member;
      readonly neighbours: NeighbourLookup | undefined;
    },
  ) {
    this.#node = node;
    this.#member = member;
    this.#neighbours = neighbours;
  }

  /**
   * Allocates, and avoids the addresses in use.
   *
   * @param owner whose container is about to start: its own address is in use
   * only if it stays so
   */
  async avoid(
    owner: Owner | undefined,
    allocate: (answering: ReadonlyMap<string, string>) => Promise<Allocated>,
  ): Promise<Allocated> {
    const answering = await this.find(owner);
    let allocated: Allocated;
    try {
      allocated = await allocate(answering);
    } catch (error) {
      if (answering.size === 0 || !(error instanceof NetError)) throw error;
      // A container may have ended since.
      allocated = await allocate(await this.find(owner, 0));
    }
    for (const address of allocated.avoided) {
      log.warn(
        "Not giving out {address}: {who} uses it, and no running container holds it; reserve it with: stellar-net ip reserve {address}",
        { address, who: answering.get(address) ?? "somebody" },
      );
    }
    return allocated;
  }

  /**
   * The addresses in use, each with a text on its user.
   *
   * @param owner as in {@linkcode avoid}
   * @param maxAgeMs how old the answer may be
   */
  async find(
    owner: Owner | undefined,
    maxAgeMs = MAX_AGE_MS,
  ): Promise<ReadonlyMap<string, string>> {
    const neighbours = this.#neighbours;
    const { subnets, allocators } = this.#member;
    const users = await neighbours?.find(subnets, maxAgeMs);
    if (!neighbours || !users || users.size === 0) return new Map();
    const held = owner &&
      await (await allocators.find(this.#node))?.get(owner);
    const ended = new Set<string>();
    for (const { address, subnet } of held?.addresses ?? []) {
      const text = formatAddress(address);
      if (users.has(text) && !await neighbours.staysInUse(address, subnet)) {
        ended.add(text);
      }
    }
    const texts = this.#format(users);
    return ended.size === 0
      ? texts
      : new Map([...texts].filter(([text]) => !ended.has(text)));
  }

  /** A text on each user. Calls for each container ask for the same. */
  #format(
    users: ReadonlyMap<string, AddressUser>,
  ): ReadonlyMap<string, string> {
    if (this.#users?.of !== users) {
      const texts = new Map(
        [...users].map(([text, user]) => [text, formatUser(user)]),
      );
      this.#users = { of: users, texts };
    }
    return this.#users.texts;
  }
}
