import { type CellUse, shownState, usedShare } from "./cell_use.ts";
import { cellCount, type Level } from "./levels.ts";

/** What a map shows in each of its cells. */
export interface Paint {
  /** By cell: the number of its state in the list of looks, from 1; 0: free. */
  readonly states: Uint8Array;
  /** By cell: the height of its bar, 0 to 1. A cell with 1 is full. */
  readonly bars: Float32Array;
}

/**
 * What to paint for the use of cells.
 *
 * @param ranked the states in the order of the list of looks, those first that
 * win where a cell has several
 * @param fillOf the bar of a cell that one subnet covers wholly; undefined: full
 */
export function paintOf<State extends string>(
  level: Level,
  uses: readonly (CellUse<State> | undefined)[],
  { ranked, fillOf = () => undefined }: {
    readonly ranked: readonly State[];
    readonly fillOf?: (cell: number) => number | undefined;
  },
): Paint {
  const states = new Uint8Array(cellCount(level));
  const bars = new Float32Array(states.length);
  for (const [cell, use] of uses.entries()) {
    const state = shownState(use, ranked);
    if (state === undefined) continue;
    states[cell] = ranked.indexOf(state) + 1;
    bars[cell] = fillOf(cell) ?? usedShare(use);
  }
  return { states, bars };
}

/** The number of cells, or of addresses, in each state. */
export function countStates<State extends string>(
  uses: readonly (CellUse<State> | undefined)[],
  cellSize: number,
): ReadonlyMap<State, number> {
  const counts = new Map<State, number>();
  for (const use of uses) {
    for (const [state, share] of Object.entries(use ?? {})) {
      const add = Number(share) * cellSize;
      counts.set(state as State, (counts.get(state as State) ?? 0) + add);
    }
  }
  return counts;
}

/** The next cell in a direction that is not free; undefined: there is none. */
export function nextUsed(
  { states }: Paint,
  from: number,
  step: 1 | -1,
): number | undefined {
  for (
    let cell = from + step;
    cell >= 0 && cell < states.length;
    cell += step
  ) {
    if (states[cell] !== 0) return cell;
  }
  return undefined;
}
