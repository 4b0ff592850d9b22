/** Slots of a node: one bit of a 32-bit word each. */
const WIDTH_BITS = 5;
const ALL = -1;

interface TrieNode {
  /** Bit i: slot i is in the set as a whole. At the lowest level: offset i is. */
  full: number;
  /** Bit i: slot i is in the set in part, and has a child. */
  partial: number;
  readonly children: TrieNode[];
}

/**
 * A set of offsets that finds the next one that is in it, or is not.
 *
 * A trie, 32 slots wide, in which a subtree that is wholly in the set or wholly
 * out of it has no node: every operation costs a step for each five bits of
 * offset, however many offsets are in the set and however large the range is.
 */
export class OffsetSet {
  readonly #levels: number;
  readonly #root: TrieNode = createNode(0);

  /** @param bits offsets are from 0 to 2 to the power of `bits`, less one */
  constructor(bits: number) {
    this.#levels = Math.max(1, Math.ceil(bits / WIDTH_BITS));
  }

  /** Whether an offset is in the set. */
  has(offset: bigint): boolean {
    let node: TrieNode | undefined = this.#root;
    for (let level = this.#levels - 1; node; level--) {
      const slot = slotOf(offset, level);
      if (node.full & (1 << slot)) return true;
      node = node.partial & (1 << slot) ? node.children[slot] : undefined;
    }
    return false;
  }

  /** Adds an offset. Adding it again does nothing. */
  add(offset: bigint): void {
    setOffset(this.#root, this.#levels - 1, offset, true);
  }

  /** Removes an offset. Removing what is not there does nothing. */
  delete(offset: bigint): void {
    setOffset(this.#root, this.#levels - 1, offset, false);
  }

  /** The smallest offset from `from` to `last` that is in the set, or undefined. */
  nextIn(from: bigint, last: bigint): bigint | undefined {
    return within(
      find(this.#root, this.#levels - 1, { from, isIn: true }),
      last,
    );
  }

  /** The smallest offset from `from` to `last` that is not in the set, or undefined. */
  nextOut(from: bigint, last: bigint): bigint | undefined {
    return within(
      find(this.#root, this.#levels - 1, { from, isIn: false }),
      last,
    );
  }
}

function createNode(full: number): TrieNode {
  return { full, partial: 0, children: [] };
}

function slotOf(offset: bigint, level: number): number {
  return Number((offset >> BigInt(level * WIDTH_BITS)) & 31n);
}

function within(offset: bigint | undefined, last: bigint): bigint | undefined {
  return offset !== undefined && offset <= last ? offset : undefined;
}

/** Sets one offset below a node, and folds a child that became uniform into its slot. */
function setOffset(
  node: TrieNode,
  level: number,
  offset: bigint,
  isIn: boolean,
): void {
  const slot = slotOf(offset, level);
  const bit = 1 << slot;
  const isPartial = (node.partial & bit) !== 0;
  if (!isPartial && ((node.full & bit) !== 0) === isIn) return;
  if (level > 0) {
    if (!isPartial) {
      node.children[slot] = createNode(node.full & bit ? ALL : 0);
      node.partial |= bit;
      node.full &= ~bit;
    }
    const child = node.children[slot]!;
    setOffset(child, level - 1, offset, isIn);
    if (child.partial !== 0 || child.full !== (isIn ? ALL : 0)) return;
    delete node.children[slot];
    node.partial &= ~bit;
  }
  if (isIn) node.full |= bit;
  else node.full &= ~bit;
}

function find(
  node: TrieNode,
  level: number,
  search: { readonly from: bigint; readonly isIn: boolean },
): bigint | undefined {
  const { from, isIn } = search;
  const shift = BigInt(level * WIDTH_BITS);
  const first = from >> shift;
  if (first > 31n) return undefined;
  const uniform = isIn ? node.full : ~(node.full | node.partial);
  let open = (uniform | node.partial) & (ALL << Number(first));
  // Every slot but the first of these is sure to hold what is looked for.
  while (open !== 0) {
    const slot = 31 - Math.clz32(open & -open);
    const base = BigInt(slot) << shift;
    const rest = base < from ? from - base : 0n;
    if (!(node.partial & (1 << slot))) return base + rest;
    const found = find(node.children[slot]!, level - 1, { from: rest, isIn });
    if (found !== undefined) return base + found;
    open &= ~(1 << slot);
  }
  return undefined;
}
