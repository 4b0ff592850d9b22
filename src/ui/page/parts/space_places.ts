import type { Carve } from "../../../net/carve.ts";
import { formatPrefix } from "../../../net/prefix.ts";
import { cellAt, type Level, pathTo } from "../plan/levels.ts";
import { go, setParams } from "../router.ts";

/** Puts the cursor on a cell. */
export function selectCell(level: Level, cell: number): void {
  setParams({
    prefix: formatPrefix(level.prefix),
    cell: formatPrefix(cellAt(level, cell)),
  }, { replace: true });
}

/** Shows the parts of a cell. */
export function enterCell(level: Level, cell: number): void {
  go("space", { prefix: formatPrefix(cellAt(level, cell)) });
}

/** What shows the level around; undefined: this is the whole network. */
export function leaveOf(carve: Carve, level: Level): (() => void) | undefined {
  const outer = pathTo(carve, level).at(-2);
  return outer && (() =>
    go("space", {
      prefix: formatPrefix(outer.prefix),
      cell: formatPrefix(level.prefix),
    }));
}
