/** What part of a map is on the screen: all lengths in pixels of the page. */
export interface Camera {
  /** Pixels of a cell. */
  readonly cellPx: number;
  /** Place of the map's left upper corner. */
  readonly x: number;
  readonly y: number;
}

/** The screen and the map on it. */
export interface Stage {
  readonly widthPx: number;
  readonly heightPx: number;
  readonly columns: number;
  readonly rows: number;
}

/** A place on the screen. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Size of a cell at the closest zoom: one that more than fits any text. */
const MAX_CELL_PX = 160;

/** The camera that shows the whole map, in the middle of the screen. */
export function fitCamera(stage: Stage): Camera {
  const cellPx = fitCellPx(stage);
  return {
    cellPx,
    x: (stage.widthPx - cellPx * stage.columns) / 2,
    y: (stage.heightPx - cellPx * stage.rows) / 2,
  };
}

/** Zooms by a factor. The place under the pointer stays where it is. */
export function zoomCamera(
  stage: Stage,
  { cellPx, x, y }: Camera,
  { factor, at }: { readonly factor: number; readonly at: Point },
): Camera {
  const least = fitCellPx(stage);
  const most = Math.max(MAX_CELL_PX, least);
  const next = Math.min(most, Math.max(least, cellPx * factor));
  const scale = next / cellPx;
  return clampCamera(stage, {
    cellPx: next,
    x: at.x - (at.x - x) * scale,
    y: at.y - (at.y - y) * scale,
  });
}

/** Moves the map by a distance; it never leaves the screen. */
export function panCamera(
  stage: Stage,
  camera: Camera,
  by: Point,
): Camera {
  return clampCamera(stage, {
    ...camera,
    x: camera.x + by.x,
    y: camera.y + by.y,
  });
}

/** Moves the map as little as it takes to show a cell as a whole. */
export function showCell(
  stage: Stage,
  camera: Camera,
  { column, row }: { readonly column: number; readonly row: number },
): Camera {
  const { cellPx } = camera;
  return panCamera(stage, camera, {
    x: intoView(camera.x + column * cellPx, cellPx, stage.widthPx),
    y: intoView(camera.y + row * cellPx, cellPx, stage.heightPx),
  });
}

/** Keeps the map on the screen: no empty border where it is larger, in the middle where it is smaller. */
export function clampCamera(stage: Stage, camera: Camera): Camera {
  const { cellPx } = camera;
  return {
    cellPx,
    x: clampAxis(camera.x, cellPx * stage.columns, stage.widthPx),
    y: clampAxis(camera.y, cellPx * stage.rows, stage.heightPx),
  };
}

/** The columns and rows that are at least partly on the screen, first and last. */
export function visibleCells(
  { widthPx, heightPx, columns, rows }: Stage,
  { cellPx, x, y }: Camera,
): {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
} {
  return {
    left: Math.max(0, Math.floor(-x / cellPx)),
    right: Math.min(columns - 1, Math.floor((widthPx - x) / cellPx)),
    top: Math.max(0, Math.floor(-y / cellPx)),
    bottom: Math.min(rows - 1, Math.floor((heightPx - y) / cellPx)),
  };
}

/** The place of the map, in cells, that is at a place on the screen. */
export function cellUnder(
  { cellPx, x, y }: Camera,
  at: Point,
): { readonly column: number; readonly row: number } {
  return { column: (at.x - x) / cellPx, row: (at.y - y) / cellPx };
}

function fitCellPx({ widthPx, heightPx, columns, rows }: Stage): number {
  return Math.max(0.5, Math.min(widthPx / columns, heightPx / rows));
}

function clampAxis(at: number, sizePx: number, screenPx: number): number {
  if (sizePx <= screenPx) return (screenPx - sizePx) / 2;
  return Math.min(0, Math.max(screenPx - sizePx, at));
}

function intoView(beginPx: number, sizePx: number, screenPx: number): number {
  if (beginPx < 0) return -beginPx;
  const overPx = beginPx + sizePx - screenPx;
  return overPx > 0 ? -Math.min(overPx, beginPx) : 0;
}
