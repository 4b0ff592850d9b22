import type { HostPath } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import type { Paint } from "./paint.ts";
import { PATH_STATES, type ShownPathState } from "./palette.ts";

/** Hosts of the largest matrix: a larger one is a list alone. */
const MAX_MATRIX = 64;
/** Samples that are kept of one path: ten minutes at one every 2 s. */
const MAX_SAMPLES = 300;
/** Paths of which samples are kept. */
const MAX_PATHS = 1_024;

/** A path as the page shows it. */
export interface ShownPath {
  readonly from: string;
  readonly to: string;
  readonly state: ShownPathState;
  /** Undefined: no answer yet. */
  readonly rttMs: number | undefined;
  /** The larger one of both directions, 0 to 1. */
  readonly loss: number;
  readonly message: HostPath;
}

/** Reads the paths of an answer, in their order: the worst first. */
export function readPaths(paths: readonly HostPath[]): ShownPath[] {
  return paths.flatMap((message) => {
    const { node, path } = message;
    const state = PATH_STATES.find((each) => each === path?.state);
    return path && state
      ? [{
        ...{ from: node, to: path.peer, state, message },
        rttMs: path.rttSeconds === undefined
          ? undefined
          : path.rttSeconds * 1000,
        loss: Math.max(path.lossOut, path.lossIn),
      }]
      : [];
  });
}

/** Names a path: both directions have one each. */
export function pathKey(
  { from, to }: Pick<ShownPath, "from" | "to">,
): string {
  return `${from}\n${to}`;
}

/** Paths as a square: a row for each host that measures, a column for each peer. */
export interface Matrix {
  /** In the order of rows and columns. */
  readonly names: readonly string[];
  readonly paint: Paint;
  /** By cell, row by row. */
  readonly paths: ReadonlyMap<number, ShownPath>;
}

/**
 * Arranges paths in a square; undefined: there are too many hosts for one.
 *
 * A cell is the fuller, the longer the round-trip time is beside the longest.
 */
export function layoutMatrix(
  paths: readonly ShownPath[],
): Matrix | undefined {
  const names = [...new Set(paths.flatMap(({ from, to }) => [from, to]))]
    .sort(compareNames);
  if (names.length > MAX_MATRIX || names.length === 0) return undefined;
  const places = new Map(names.map((name, i) => [name, i]));
  const states = new Uint8Array(names.length ** 2);
  const bars = new Float32Array(names.length ** 2);
  const cells = new Map<number, ShownPath>();
  const longest = Math.max(...paths.map(({ rttMs = 0 }) => rttMs));
  for (const path of paths) {
    const cell = cellOfPath(path, places);
    cells.set(cell, path);
    states[cell] = PATH_STATES.indexOf(path.state) + 1;
    bars[cell] = path.state !== "alive" || path.rttMs === undefined
      ? 1
      : Math.min(0.99, path.rttMs / longest);
  }
  return { names, paint: { states, bars }, paths: cells };
}

/** The cell of a path in a square. */
export function cellOfPath(
  { from, to }: Pick<ShownPath, "from" | "to">,
  places: ReadonlyMap<string, number>,
): number {
  return places.get(from)! * places.size + places.get(to)!;
}

/** What the page has seen of a path: a sample for each answer, the oldest first. */
export interface PathSamples {
  /** In seconds since 1970. */
  readonly times: readonly number[];
  readonly rttMs: readonly (number | null)[];
  /** In percent. */
  readonly lossOut: readonly number[];
  readonly lossIn: readonly number[];
}

/**
 * Adds an answer to what the page has seen: ten minutes of at most 1,024 paths.
 *
 * @param before by {@linkcode pathKey}
 */
export function addSamples(
  before: ReadonlyMap<string, PathSamples>,
  paths: readonly ShownPath[],
  atMs: number,
): ReadonlyMap<string, PathSamples> {
  const after = new Map(before);
  for (const path of paths) {
    const key = pathKey(path);
    const had = after.get(key);
    // To the end: those that are seen no more go first.
    after.delete(key);
    const { lossOut = 0, lossIn = 0 } = path.message.path ?? {};
    after.set(key, {
      times: append(had?.times, atMs / 1000),
      rttMs: append(had?.rttMs, path.rttMs ?? null),
      lossOut: append(had?.lossOut, lossOut * 100),
      lossIn: append(had?.lossIn, lossIn * 100),
    });
  }
  for (const key of after.keys()) {
    if (after.size <= MAX_PATHS) break;
    after.delete(key);
  }
  return after;
}

/** The number of paths in each state, the worst first; none without paths. */
export function countPaths(
  paths: readonly ShownPath[],
): (readonly [ShownPathState, number])[] {
  return PATH_STATES.map((state) =>
    [
      state,
      paths.filter((path) => path.state === state).length,
    ] as const
  ).filter(([, count]) => count > 0);
}

/** A round-trip time: "0.42 ms". */
export function formatRtt(ms: number | undefined): string {
  if (ms === undefined) return "–";
  return `${
    ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)
  } ms`;
}

/** Orders names as people do: host2 before host10. */
export function compareNames(a: string, b: string): number {
  return COLLATOR.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

/**
 * Names without what all of them begin with, for where there is little room:
 * "1" and "12" for host1 and host12. Digits that belong together stay together.
 */
export function shortNames(names: readonly string[]): string[] {
  const [first = ""] = names;
  let shared = names.reduce((length, name) => {
    let same = 0;
    while (same < length && name[same] === first[same]) same++;
    return same;
  }, first.length);
  while (shared > 0 && /\d/.test(first[shared - 1]!)) shared--;
  const isWhole = names.some((name) => name.length === shared);
  return names.map((name) => isWhole ? name : name.slice(shared));
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

function append<T>(before: readonly T[] | undefined, value: T): T[] {
  return [...(before ?? []).slice(1 - MAX_SAMPLES), value];
}
