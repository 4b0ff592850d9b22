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
  readonly probe: (
    packetBytes: number,
  ) => Promise<{ readonly isAnswered: boolean }>;
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
