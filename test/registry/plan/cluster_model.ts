/**
 * The rules for subnets, a second time and as simple as possible:
 * slices are texts, and what a rule allows is a set of them. It knows nothing
 * of the code that it judges.
 */

/** A network as texts. */
export interface ModelNetwork {
  /** Its slices in order of address. */
  readonly slices: readonly string[];
}

/** What became of a slice; one that is missing was never used. */
export interface ModelSlice {
  readonly state: "owned" | "reserved" | "released";
  readonly node: string;
  readonly at: number;
  /** Of a reserved one: the node that had it before. */
  readonly last?: string | undefined;
}

/** A node that is known. */
export interface ModelNode {
  /** Empty: it runs no agent. */
  readonly instanceId: string;
  /** In the order of the networks, or none. */
  readonly subnets: readonly string[];
  /** The prefixes of its host that get in the way. */
  readonly prefixes: readonly string[];
}

/** What may come of a request: a refusal's code, or for each network what may be given. */
export type Allowed =
  | { readonly refused: string }
  | { readonly given: readonly (readonly string[])[] };

/** A joining host. */
export interface ModelJoin {
  readonly node: string;
  readonly instanceId: string;
  readonly held: readonly string[];
  readonly prefixes: readonly string[];
}

/** The cluster as the rules have it. */
export class ClusterModel {
  readonly networks: readonly ModelNetwork[];
  /** The slices that each prefix of a host covers, and whether it is one slice or a part of one. */
  readonly #covers: Readonly<Record<string, readonly string[]>>;
  readonly slices = new Map<string, ModelSlice>();
  readonly nodes = new Map<string, ModelNode>();

  constructor(
    networks: readonly ModelNetwork[],
    covers: Readonly<Record<string, readonly string[]>>,
  ) {
    this.networks = networks;
    this.#covers = covers;
  }

  /** Whether a host uses something that overlaps a slice. */
  isConflicting(slice: string, more: readonly string[] = []): boolean {
    return [...this.nodes.values()]
      .flatMap(({ prefixes }) => this.#blocking(prefixes))
      .concat(more.filter((prefix) => !this.#isWide(prefix)))
      .some((prefix) => this.#covers[prefix]!.includes(slice));
  }

  /** Whether a prefix covers a whole network: such a one blocks nobody. */
  #isWide(prefix: string): boolean {
    return this.networks.some(({ slices }) =>
      slices.every((slice) => this.#covers[prefix]!.includes(slice))
    );
  }

  /** The prefixes of a node that block others: together at most half of a network. */
  #blocking(prefixes: readonly string[]): string[] {
    return this.networks.flatMap(({ slices }) => {
      let left = slices.length / 2;
      return prefixes.filter((prefix) => {
        const count = slices.filter((slice) =>
          this.#covers[prefix]!.includes(slice)
        ).length;
        if (count === 0 || this.#isWide(prefix) || count > left) return false;
        left -= count;
        return true;
      });
    });
  }

  allowClaim(node: string): Allowed {
    const known = this.nodes.get(node);
    return this.#allow(node, known?.subnets ?? [], known?.prefixes ?? []);
  }

  allowJoin({ node, instanceId, held, prefixes }: ModelJoin): Allowed {
    const known = this.nodes.get(node);
    if (
      known && known.instanceId !== "" && known.instanceId !== instanceId
    ) return { refused: "already_exists" };
    if (!held.every((slice) => this.#isHeldBy(slice, node))) {
      return { refused: "failed_precondition" };
    }
    const has = held.length > 0 ? held : known?.subnets ?? [];
    return this.#allow(node, has, this.#inTheWay(prefixes, has));
  }

  /** Records a granted claim. */
  claimed(node: string, subnets: readonly string[], at: number): void {
    const known = this.nodes.get(node);
    this.#put(node, {
      instanceId: known?.instanceId ?? "",
      subnets,
      prefixes: known?.prefixes ?? [],
    }, at);
  }

  /** Records a granted join. */
  joined(request: ModelJoin, subnets: readonly string[], at: number): void {
    const { node, instanceId, held, prefixes } = request;
    const had = this.nodes.get(node)?.subnets ?? [];
    const own = held.length > 0 ? held : had;
    this.#release(node, had.filter((s) => !subnets.includes(s)), at);
    this.#put(node, {
      instanceId,
      subnets,
      prefixes: this.#inTheWay(prefixes, own),
    }, at);
  }

  /** Frees a node's subnets. */
  released(node: string, at: number): void {
    const known = this.nodes.get(node)!;
    this.#release(node, known.subnets, at);
    this.nodes.set(node, { ...known, subnets: [] });
  }

  /** Forgets a node. */
  removed(node: string, at: number): void {
    this.#release(node, this.nodes.get(node)!.subnets, at);
    this.nodes.delete(node);
  }

  /** Records a reservation. */
  reserved(slice: string, node: string, at: number): void {
    const known = this.slices.get(slice);
    const last = known?.state === "reserved" ? known.last : known?.node;
    this.slices.set(slice, { state: "reserved", node, at, last });
  }

  /** Ends a reservation. */
  unreserved(slice: string): void {
    const { state, last, at } = this.slices.get(slice) ?? {};
    if (state !== "reserved") return;
    if (last === undefined) this.slices.delete(slice);
    else this.slices.set(slice, { state: "released", node: last, at: at! });
  }

  /** Records a host's report. */
  reported(node: string, prefixes: readonly string[]): void {
    const subnets = this.nodes.get(node)?.subnets ?? [];
    this.nodes.set(node, {
      instanceId: `id of ${node}`,
      subnets,
      prefixes: this.#inTheWay(prefixes, subnets),
    });
  }

  #allow(
    node: string,
    has: readonly string[],
    prefixes: readonly string[],
  ): Allowed {
    const given = this.networks.map(({ slices }) => {
      const own = slices.filter((slice) => has.includes(slice));
      if (own.length > 0) return own;
      return this.#choices(
        node,
        slices.filter((slice) => !this.isConflicting(slice, prefixes)),
      );
    });
    return given.some((choices) => choices.length === 0)
      ? { refused: "exhausted" }
      : { given };
  }

  /** The order of choice: its own earlier one, one kept for it, a new one, the longest free. */
  #choices(node: string, slices: readonly string[]): readonly string[] {
    const state = (slice: string) => this.slices.get(slice)?.state;
    const isFor = (slice: string) => this.slices.get(slice)?.node === node;
    const released = slices.filter((s) => state(s) === "released");
    const ranks = [
      released.filter(isFor),
      slices.filter((s) => state(s) === "reserved" && isFor(s)),
      slices.filter((s) => state(s) === undefined).slice(0, 1),
      released.toSorted((a, b) =>
        this.slices.get(a)!.at - this.slices.get(b)!.at
      ).slice(0, 1),
    ];
    return ranks.find((choices) => choices.length > 0) ?? [];
  }

  /** Whether a slice was a node's last one, and nothing is in its way unless the node owns it. */
  #isHeldBy(slice: string, node: string): boolean {
    const record = this.slices.get(slice);
    return record?.node === node &&
      (record.state === "owned" || !this.isConflicting(slice));
  }

  /** Of what a host uses, what covers a slice and is not within its own. */
  #inTheWay(prefixes: readonly string[], own: readonly string[]): string[] {
    return prefixes.filter((prefix) => {
      const covered = this.#covers[prefix]!;
      const isWithinOwn = covered.length === 1 && own.includes(covered[0]!);
      return covered.length > 0 && !isWithinOwn;
    });
  }

  #put(node: string, record: ModelNode, at: number): void {
    this.nodes.set(node, record);
    for (const slice of record.subnets) {
      const has = this.slices.get(slice);
      if (has?.state === "owned" && has.node === node) continue;
      this.slices.set(slice, { state: "owned", node, at });
    }
  }

  #release(node: string, slices: readonly string[], at: number): void {
    for (const slice of slices) {
      this.slices.set(slice, { state: "released", node, at });
    }
  }
}
