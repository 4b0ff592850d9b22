/** Peers that a host probes every second, at most. */
export const MAX_NEIGHBOURS = 8;
/** Requests a second that a host sends on average, at most. Each may be answered: 16 packets. */
export const REQUESTS_PER_SECOND = 8;
/** Most requests that a host saves up for a path in doubt. */
const MAX_SAVED = 12;

/**
 * The neighbours of a node on the ring of all names in order: as many before it
 * as behind it. The relation is mutual, so that both ends measure the path.
 *
 * @returns all others if there are no more than {@linkcode MAX_NEIGHBOURS}
 */
export function ringNeighbours(
  self: string,
  others: Iterable<string>,
): string[] {
  const ring = [...new Set(others)].filter((name) => name !== self).sort();
  if (ring.length <= MAX_NEIGHBOURS) return ring;
  const at = ring.findIndex((name) => name > self);
  const behind = at < 0 ? ring.length : at;
  const half = MAX_NEIGHBOURS / 2;
  return Array.from(
    { length: MAX_NEIGHBOURS },
    (_, i) => ring[(behind - half + i + ring.length) % ring.length]!,
  );
}

/**
 * Requests to each neighbour in a round. Several go out together:
 * that wakes both hosts once, and shows a loss sooner.
 */
export function trainLength(neighbours: number): number {
  if (neighbours <= 2) return 4;
  return neighbours <= 4 ? 2 : 1;
}

/** Time between two rounds in ms: a little more than a second with a sample, whose request comes on top. */
export function roundMs(neighbours: number, hasSample: boolean): number {
  const requests = neighbours * trainLength(neighbours) + Number(hasSample);
  return Math.max(1_000, requests / REQUESTS_PER_SECOND * 1_000);
}

/**
 * The peer to sample next: the one behind the last one in the order of names, so
 * that every path has its turn after as many rounds as there are peers.
 *
 * @param neighbours that need no sample
 * @returns undefined if all peers are neighbours
 */
export function nextSample(
  last: string,
  { peers, neighbours }: {
    /** In the order of names. */
    readonly peers: readonly string[];
    readonly neighbours: ReadonlySet<string>;
  },
): string | undefined {
  if (peers.length <= neighbours.size) return undefined;
  const start = peers.findIndex((name) => name > last);
  for (let i = 0; i < peers.length; i++) {
    const name = peers[(Math.max(start, 0) + i) % peers.length]!;
    if (!neighbours.has(name)) return name;
  }
  return undefined;
}

/** Bounds the packets of a host, whatever the size of the cluster. */
export class Allowance {
  readonly #perSecond: number;
  readonly #most: number;
  #saved: number;
  #atMs: number;

  constructor(
    { perSecond = REQUESTS_PER_SECOND, most = MAX_SAVED, nowMs }: {
      readonly perSecond?: number;
      readonly most?: number;
      readonly nowMs: number;
    },
  ) {
    this.#perSecond = perSecond;
    this.#most = most;
    this.#saved = most;
    this.#atMs = nowMs;
  }

  /** Takes up to `wanted` packets. @returns how many may be sent */
  take(wanted: number, nowMs: number): number {
    const gained = Math.max(0, nowMs - this.#atMs) * this.#perSecond / 1000;
    this.#saved = Math.min(this.#most, this.#saved + gained);
    this.#atMs = nowMs;
    const taken = Math.min(wanted, Math.floor(this.#saved));
    this.#saved -= taken;
    return taken;
  }
}
