/** What went wrong, as text for people. */
export interface Findings {
  /** Addresses that two holders believed to hold at once. */
  readonly doubles: readonly string[];
  /** Acknowledged allocations that were gone without a release. */
  readonly lost: readonly string[];
  /** Released allocations that were there again, or still. */
  readonly stale: readonly string[];
}

/** The belief of one holder. */
interface Belief {
  /** Container id. Several containers may have one id, one after another. */
  readonly owner: string;
  readonly address: string;
}

/**
 * The answers of an agent, as its callers believe them. A holder is an owner
 * over the API, or one particular container of a CNI runtime: a second
 * container with the id of the first is another holder.
 */
export class Beliefs {
  readonly #held = new Map<string, Belief>();
  readonly #holderOf = new Map<string, string>();
  /** Owners with a call that had no clear answer, or a container that ended without DEL. */
  readonly #unclear = new Set<string>();
  readonly #doubles: string[] = [];
  readonly #lost: string[] = [];
  readonly #stale: string[] = [];

  get findings(): Findings {
    return { doubles: this.#doubles, lost: this.#lost, stale: this.#stale };
  }

  get size(): number {
    return this.#held.size;
  }

  /** The address that a holder believes to hold. */
  addressOf(holder: string): string | undefined {
    return this.#held.get(holder)?.address;
  }

  /** Every address that is believed to be held. */
  addresses(): string[] {
    return [...this.#holderOf.keys()];
  }

  /** Takes an acknowledged allocation down. */
  hold(holder: string, { owner, address }: Belief): void {
    this.#unclear.delete(owner);
    const known = this.#held.get(holder)?.address;
    if (known === address) return;
    if (known !== undefined) {
      this.#lost.push(`${holder} held ${known} and was given ${address}`);
      this.drop(holder);
    }
    const other = this.#holderOf.get(address);
    if (other !== undefined) {
      this.#doubles.push(`${address} is held by ${other} and by ${holder}`);
      return;
    }
    this.#held.set(holder, { owner, address });
    this.#holderOf.set(address, holder);
  }

  /** Takes down that a holder gives up its address: before it asks for the release. */
  drop(holder: string): void {
    const belief = this.#held.get(holder);
    if (!belief) return;
    this.#held.delete(holder);
    this.#holderOf.delete(belief.address);
  }

  /** Takes down that nobody knows yet whether an owner holds anything. */
  doubt(owner: string): void {
    this.#unclear.add(owner);
  }

  /** Takes down that an owner holds nothing, as the agent has answered. */
  settle(owner: string): void {
    this.#unclear.delete(owner);
  }

  /**
   * Holds an agent's list against the beliefs. No call may be under way.
   *
   * @param list container ids with their addresses
   * @returns owners in doubt that hold something
   */
  verify(
    list: readonly (readonly [owner: string, addresses: readonly string[]])[],
  ): [owner: string, address: string][] {
    const listed = new Map<string, string>();
    const ownerOf = new Map<string, string>();
    for (const [owner, addresses] of list) {
      for (const address of addresses) {
        const other = ownerOf.get(address);
        if (other !== undefined) {
          this.#doubles.push(`${address} is listed for ${other} and ${owner}`);
        }
        ownerOf.set(address, owner);
        listed.set(owner, address);
      }
    }
    const believed = new Set<string>();
    for (const [holder, { owner, address }] of [...this.#held]) {
      believed.add(owner);
      const now = listed.get(owner);
      if (now === address) continue;
      this.#lost.push(`${holder} held ${address}, now ${now ?? "nothing"}`);
      this.drop(holder);
    }
    const unclear: [string, string][] = [];
    for (const [owner, address] of listed) {
      if (believed.has(owner)) continue;
      if (this.#unclear.has(owner)) unclear.push([owner, address]);
      else this.#stale.push(`${owner} has released ${address}`);
    }
    for (const owner of this.#unclear) {
      if (!listed.has(owner)) this.#unclear.delete(owner);
    }
    return unclear;
  }
}
