import { type Camera, type Stage, visibleCells } from "../plan/camera.ts";
import type { Paint } from "../plan/paint.ts";
import {
  FREE,
  GROUND,
  INK,
  type Look,
  mixColours,
  type Theme,
} from "../plan/palette.ts";

/** Smallest cells with a mark, with a letter, and with words, in pixels. */
const MARK_PX = 7;
const LETTER_PX = 18;
const WORDS_PX = 84;
/** Room that the name of a row or a column takes, its font, and the slant of long ones. */
const NAME_PX = 14;
const NAME_FONT = "11px system-ui, sans-serif";
const SLANT = Math.PI / 3;
const NO_INSET = { leftPx: 0, topPx: 0 };
const TEXT: Readonly<Record<Theme, string>> = {
  light: "#3d4653",
  dark: "#b9c2ce",
};
/** Strength of a state's colour behind its bar, 0 to 1. */
const TINT = 0.4;

/** Room at the left of a map, and above it. */
export interface Inset {
  readonly leftPx: number;
  readonly topPx: number;
}

/** One picture of a map. */
export interface Picture {
  readonly stage: Stage;
  readonly camera: Camera;
  readonly paint: Paint;
  readonly looks: readonly Look[];
  readonly theme: Theme;
  /** The cell with the cursor; undefined: none. */
  readonly selected: number | undefined;
  /** Room for the names of rows and columns, in pixels. Default: none. */
  readonly inset?: Inset;
  /** Name of a row, beside it. */
  readonly rowName: (row: number) => string;
  /** Name of a column, above it. Default: columns have none. */
  readonly columnName?: (column: number) => string;
  /** The words of a large cell, a line each. */
  readonly wordsOf: (cell: number) => readonly string[];
}

/** Draws the visible part of a map. @param scale pixels of the screen in one of the page */
export function drawMap(
  context: CanvasRenderingContext2D,
  picture: Picture,
  scale: number,
): void {
  const { stage, camera, paint, looks, theme } = picture;
  const { cellPx } = camera;
  const { left, right, top, bottom } = visibleCells(stage, camera);
  const gap = cellPx < 4 ? 0 : Math.max(1, Math.round(cellPx * 0.05));
  const snap = (px: number) => Math.round(px * scale) / scale;
  const xs = edges(left, right, (i) => snap(camera.x + i * cellPx));
  const ys = edges(top, bottom, (i) => snap(camera.y + i * cellPx));
  const { leftPx, topPx } = picture.inset ?? NO_INSET;
  context.setTransform(scale, 0, 0, scale, leftPx * scale, topPx * scale);
  context.fillStyle = GROUND[theme];
  context.fillRect(
    -leftPx,
    -topPx,
    stage.widthPx + leftPx,
    stage.heightPx + topPx,
  );
  context.save();
  context.beginPath();
  context.rect(0, 0, stage.widthPx, stage.heightPx);
  context.clip();
  context.fillStyle = FREE[theme];
  const [x0, y0] = [xs[0]!, ys[0]!];
  context.fillRect(x0, y0, xs.at(-1)! - x0, ys.at(-1)! - y0);

  const inState: number[][] = looks.map(() => []);
  for (let row = top; row <= bottom; row++) {
    const first = row * stage.columns;
    for (let column = left; column <= right; column++) {
      const state = paint.states[first + column]!;
      if (state > 0) inState[state - 1]!.push(first + column);
    }
  }
  for (const [i, cells] of inState.entries()) {
    if (cells.length === 0) continue;
    const colour = looks[i]!.colours[theme];
    const place = (cell: number) => {
      const column = cell % stage.columns - left;
      const row = Math.floor(cell / stage.columns) - top;
      const [x, y] = [xs[column]!, ys[row]!];
      return { x, y, w: xs[column + 1]! - x, h: ys[row + 1]! - y };
    };
    context.fillStyle = mixColours(FREE[theme], colour, TINT);
    for (const cell of cells) {
      if (paint.bars[cell]! >= 1) continue;
      const { x, y, w, h } = place(cell);
      context.fillRect(x, y, w, h);
    }
    context.fillStyle = colour;
    for (const cell of cells) {
      const { x, y, w, h } = place(cell);
      const share = paint.bars[cell]!;
      const barPx = share >= 1 ? h : share <= 0 ? 0 : Math.max(1, h * share);
      if (barPx > 0) context.fillRect(x, y + h - barPx, w, barPx);
    }
    if (cellPx < MARK_PX) continue;
    const { mark, letter } = looks[i]!;
    const ink = INK[theme];
    if (cellPx >= LETTER_PX && letter !== "") {
      context.fillStyle = ink;
      context.font = `600 ${
        Math.min(16, cellPx * 0.6)
      }px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      for (const cell of cells) {
        const { x, y, w, h } = place(cell);
        context.fillText(letter, x + w / 2, y + h / 2);
      }
    } else if (mark !== "plain") {
      context.strokeStyle = context.fillStyle = ink;
      context.lineWidth = Math.max(1, cellPx / 10);
      context.beginPath();
      for (const cell of cells) addMark(context, mark, place(cell));
      if (mark === "dot") context.fill();
      else context.stroke();
    }
  }
  if (gap > 0) {
    context.fillStyle = GROUND[theme];
    for (const x of xs) {
      context.fillRect(x - gap / 2, y0, gap, ys.at(-1)! - y0);
    }
    for (const y of ys) {
      context.fillRect(x0, y - gap / 2, xs.at(-1)! - x0, gap);
    }
  }
  if (cellPx >= WORDS_PX) drawWords(context, picture, { xs, ys, left, top });
  drawCursor(context, picture, cellPx);
  context.restore();
  drawNames(context, picture, { xs, ys, left, top });
}

/** The room that names take: those of columns are slanted unless they are short. */
export function insetOf(
  context: CanvasRenderingContext2D,
  { rows, columns }: {
    readonly rows: readonly string[];
    readonly columns: readonly string[];
  },
): Inset {
  context.font = NAME_FONT;
  const widest = (names: readonly string[]) =>
    Math.max(0, ...names.map((name) => context.measureText(name).width));
  const [rowPx, columnPx] = [widest(rows), widest(columns)];
  return {
    leftPx: rowPx === 0 ? 0 : Math.ceil(rowPx) + 10,
    topPx: columnPx === 0 ? 0 : isShort(columnPx) ? 18 : Math.ceil(
      columnPx * Math.sin(SLANT) + 14,
    ),
  };
}

/** Draws one cell with a look, for a legend. */
export function drawSample(
  context: CanvasRenderingContext2D,
  look: Look,
  { theme, sizePx }: { readonly theme: Theme; readonly sizePx: number },
): void {
  context.clearRect(0, 0, sizePx, sizePx);
  context.fillStyle = look.colours[theme];
  context.fillRect(0, 0, sizePx, sizePx);
  if (look.mark === "plain") return;
  context.strokeStyle = context.fillStyle = INK[theme];
  context.lineWidth = sizePx / 9;
  context.beginPath();
  addMark(context, look.mark, { x: 0, y: 0, w: sizePx, h: sizePx });
  if (look.mark === "dot") context.fill();
  else context.stroke();
}

function edges(
  first: number,
  last: number,
  at: (index: number) => number,
): number[] {
  return Array.from({ length: last - first + 2 }, (_, i) => at(first + i));
}

function addMark(
  path: CanvasRenderingContext2D,
  mark: Look["mark"],
  { x, y, w, h }: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  },
): void {
  const [dx, dy] = [w * 0.24, h * 0.24];
  switch (mark) {
    case "plain":
      return;
    case "cross":
      path.moveTo(x + dx, y + dy);
      path.lineTo(x + w - dx, y + h - dy);
      path.moveTo(x + w - dx, y + dy);
      path.lineTo(x + dx, y + h - dy);
      return;
    case "stripes":
      path.moveTo(x + dx, y + h * 0.55);
      path.lineTo(x + w * 0.55, y + dy);
      path.moveTo(x + w * 0.45, y + h - dy);
      path.lineTo(x + w - dx, y + h * 0.45);
      return;
    case "dot": {
      const radius = Math.min(w, h) * 0.16;
      path.moveTo(x + w / 2 + radius, y + h / 2);
      path.arc(x + w / 2, y + h / 2, radius, 0, 2 * Math.PI);
      return;
    }
  }
}

/** Names rows and columns: as many as there is room for. */
function drawNames(
  context: CanvasRenderingContext2D,
  { stage, camera: { cellPx }, inset, theme, rowName, columnName }: Picture,
  { xs, ys, left, top }: {
    readonly xs: readonly number[];
    readonly ys: readonly number[];
    readonly left: number;
    readonly top: number;
  },
): void {
  if (!inset) return;
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(NAME_PX / cellPx)));
  context.font = NAME_FONT;
  context.fillStyle = TEXT[theme];
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (let i = 0; i < ys.length - 1; i++) {
    const y = (ys[i]! + ys[i + 1]!) / 2;
    const isOn = y >= 0 && y <= stage.heightPx;
    if (!isOn || (top + i) % step !== 0) continue;
    context.fillText(rowName(top + i), Math.max(0, xs[0]!) - 6, y);
  }
  if (!columnName) return;
  for (let i = 0; i < xs.length - 1; i++) {
    const x = (xs[i]! + xs[i + 1]!) / 2;
    const isOn = x >= 0 && x <= stage.widthPx;
    if (!isOn || (left + i) % step !== 0) continue;
    const name = columnName(left + i);
    const isLevel = isShort(context.measureText(name).width);
    context.save();
    context.translate(x, Math.max(0, ys[0]!) - 6);
    if (!isLevel) context.rotate(-SLANT);
    context.textAlign = isLevel ? "center" : "left";
    context.fillText(name, 0, isLevel ? -2 : 0);
    context.restore();
  }
}

function isShort(widthPx: number): boolean {
  return widthPx <= 18;
}

function drawWords(
  context: CanvasRenderingContext2D,
  { stage, paint, theme, wordsOf }: Picture,
  { xs, ys, left, top }: {
    readonly xs: readonly number[];
    readonly ys: readonly number[];
    readonly left: number;
    readonly top: number;
  },
): void {
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "top";
  for (const [row, y] of ys.slice(0, -1).entries()) {
    for (const [column, x] of xs.slice(0, -1).entries()) {
      const cell = (top + row) * stage.columns + left + column;
      const isDark = paint.states[cell] !== 0 && paint.bars[cell]! >= 0.9;
      context.fillStyle = isDark
        ? INK[theme]
        : theme === "light"
        ? "#10141a"
        : "#f2f5f9";
      const widthPx = xs[column + 1]! - x - 10;
      for (const [line, words] of wordsOf(cell).entries()) {
        context.fillText(words, x + 6, y + 6 + line * 15, widthPx);
      }
    }
  }
}

function drawCursor(
  context: CanvasRenderingContext2D,
  { stage, camera: { cellPx, x, y }, selected, theme }: Picture,
  sizePx: number,
): void {
  if (selected === undefined) return;
  const left = x + (selected % stage.columns) * cellPx;
  const top = y + Math.floor(selected / stage.columns) * cellPx;
  // Two tones: one of them stands out from any colour.
  for (
    const [width, colour] of [
      [4, theme === "light" ? "#ffffff" : "#000000"],
      [2, theme === "light" ? "#000000" : "#ffffff"],
    ] as const
  ) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    // Within the cell: one at the edge of the screen is whole, too.
    const inset = Math.min(2, sizePx / 4);
    context.strokeRect(
      left + inset,
      top + inset,
      sizePx - 2 * inset,
      sizePx - 2 * inset,
    );
  }
}
