import { cellCount, cellSize, cellsOf, type Level } from "./levels.ts";

/** A range of addresses with one state. */
export interface StateRun<State extends string> {
  readonly first: bigint;
  readonly last: bigint;
  readonly state: State;
}

/** The use of one cell: its share of addresses in each state, 0 to 1. */
export type CellUse<State extends string> = Readonly<
  Partial<Record<State, number>>
>;

/**
 * The use of each cell of a level. The cost depends on the number of cells and of
 * runs, and not on the number of addresses.
 *
 * @param runs none of which overlaps another
 * @returns by cell; undefined: all of its addresses are free
 */
export function useOfCells<State extends string>(
  level: Level,
  runs: Iterable<StateRun<State>>,
): (CellUse<State> | undefined)[] {
  const cells = new Array<Partial<Record<State, number>> | undefined>(
    cellCount(level),
  ).fill(undefined);
  const size = cellSize(level);
  const begin = level.prefix.value;
  for (const { first, last, state } of runs) {
    const covered = cellsOf(level, { first, last });
    if (!covered) continue;
    const [from, to] = [Number(first - begin) / size, Number(last - begin)];
    for (let cell = covered.from; cell <= covered.to; cell++) {
      const share = Math.min((to + 1) / size, cell + 1) - Math.max(from, cell);
      const use: Partial<Record<State, number>> = cells[cell] ?? {};
      cells[cell] = use;
      // A single address of a huge cell is more than nothing.
      use[state] = Math.max((use[state] ?? 0) + share, Number.MIN_VALUE);
    }
  }
  return cells;
}

/** The state that a cell shows where it has room for one: the one of the highest rank that it has. */
export function shownState<State extends string>(
  use: CellUse<State> | undefined,
  ranked: readonly State[],
): State | undefined {
  return use && ranked.find((state) => (use[state] ?? 0) > 0);
}

/** The share of a cell's addresses that are not free, 0 to 1. */
export function usedShare(use: CellUse<string> | undefined): number {
  const sum = Object.values(use ?? {})
    .reduce<number>((total, share) => total + (share ?? 0), 0);
  return Math.min(1, sum);
}
