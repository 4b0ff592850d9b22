import { Component, createRef, type JSX } from "preact";
import { effect } from "@preact/signals";
import {
  type Camera,
  cellUnder,
  clampCamera,
  fitCamera,
  panCamera,
  type Point,
  showCell,
  type Stage,
  zoomCamera,
} from "../plan/camera.ts";
import { nextUsed, type Paint } from "../plan/paint.ts";
import type { Look } from "../plan/palette.ts";
import { drawMap, type Inset, insetOf } from "./draw_map.ts";
import { theme } from "./theme.ts";

/** Distance by which a pointer moves before a click becomes a drag, in pixels. */
const DRAG_PX = 4;
const KEY_ZOOM = 1.5;
/** Width of a map without room for long names, in pixels. */
const NARROW_PX = 480;

export interface CellMapProps {
  /** Names the map for screen readers. */
  readonly label: string;
  /** Changes where the map is another one: it then shows the whole. */
  readonly of: string;
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
  readonly looks: readonly Look[];
  readonly selected: number | undefined;
  readonly wordsOf: (cell: number) => readonly string[];
  /** Names of rows and columns; a short one for a narrow screen, empty for none. */
  readonly rowName: (row: number, isNarrow: boolean) => string;
  readonly columnName?: (column: number, isNarrow: boolean) => string;
  /** What a screen reader says about a cell. */
  readonly describe: (cell: number) => string;
  readonly onSelect: (cell: number) => void;
  /** Goes into a cell. Undefined: there is nothing inside. */
  readonly onEnter?: ((cell: number) => void) | undefined;
  /** Goes out again. Undefined: this is the outermost. */
  readonly onLeave?: (() => void) | undefined;
}

/** Whether the map that was just removed had the focus: the one that takes its place gets it. */
let passesFocus = false;

/**
 * A map of equal cells on a canvas: drag, wheel, pinch or keys move and zoom it.
 * Everything that it shows is in a table beside it, too.
 */
export class CellMap extends Component<CellMapProps> {
  readonly #box = createRef<HTMLDivElement>();
  readonly #canvas = createRef<HTMLCanvasElement>();
  readonly #hintLine = createRef<HTMLParagraphElement>();
  readonly #pointers = new Map<number, Point>();
  #camera: Camera = { cellPx: 1, x: 0, y: 0 };
  #size = { widthPx: 0, heightPx: 0 };
  #inset: Inset = { leftPx: 0, topPx: 0 };
  /** Whether somebody has zoomed or moved. */
  #isMoved = false;
  #isDragging = false;
  #frame = 0;
  #stop: (() => void)[] = [];

  override componentDidMount(): void {
    const box = this.#box.current!;
    const sizes = new ResizeObserver(() => this.#resize());
    sizes.observe(box);
    // Not through Preact: it could not keep the page from scrolling.
    const onWheel = (event: WheelEvent) => this.#onWheel(event);
    box.addEventListener("wheel", onWheel, { passive: false });
    this.#stop = [
      () => sizes.disconnect(),
      () => box.removeEventListener("wheel", onWheel),
      effect(() => {
        void theme.value;
        this.#drawSoon();
      }),
    ];
    this.#resize();
    if (passesFocus) box.focus({ preventScroll: true });
    passesFocus = false;
  }

  override componentDidUpdate(before: CellMapProps): void {
    const { of, columns, rows, selected } = this.props;
    if (before.of !== of) {
      this.#isMoved = false;
      this.#measure();
    }
    if (!this.#isMoved) this.#camera = fitCamera(this.#stage);
    const isOther = before.columns !== columns || before.rows !== rows;
    if (isOther) this.#camera = clampCamera(this.#stage, this.#camera);
    if (before.selected !== selected) this.#showSelected();
    this.#drawSoon();
  }

  override componentWillUnmount(): void {
    for (const stop of this.#stop) stop();
    cancelAnimationFrame(this.#frame);
    passesFocus = document.activeElement === this.#box.current;
    // A map in place of this one is there before this task ends.
    queueMicrotask(() => passesFocus = false);
  }

  get #stage(): Stage {
    const { columns, rows } = this.props;
    return { ...this.#size, columns, rows };
  }

  #resize(): void {
    const box = this.#box.current;
    if (!box) return;
    this.#measure();
    this.#camera = this.#isMoved
      ? clampCamera(this.#stage, this.#camera)
      : fitCamera(this.#stage);
    this.#drawSoon();
  }

  get #isNarrow(): boolean {
    return this.#box.current!.clientWidth < NARROW_PX;
  }

  /** Divides the box into the map and the names beside it. */
  #measure(): void {
    const box = this.#box.current!;
    const context = this.#canvas.current!.getContext("2d", { alpha: false });
    if (!context) return;
    const { rows, columns, rowName, columnName } = this.props;
    const isNarrow = this.#isNarrow;
    const names = (count: number, nameOf: typeof columnName) =>
      nameOf
        ? Array.from({ length: count }, (_, i) => nameOf(i, isNarrow))
        : [];
    this.#inset = insetOf(context, {
      rows: names(rows, rowName),
      columns: names(columns, columnName),
    });
    this.#size = {
      widthPx: Math.max(1, box.clientWidth - this.#inset.leftPx),
      heightPx: Math.max(1, box.clientHeight - this.#inset.topPx),
    };
  }

  #drawSoon(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    const canvas = this.#canvas.current;
    if (!canvas) return;
    const { clientWidth, clientHeight } = this.#box.current!;
    if (clientWidth === 0 || clientHeight === 0) return;
    const scale = devicePixelRatio;
    const [width, height] = [clientWidth, clientHeight]
      .map((px) => Math.round(px * scale)) as [number, number];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) return;
    const { paint, looks, selected, wordsOf } = this.props;
    const { rowName, columnName } = this.props;
    const isNarrow = this.#isNarrow;
    drawMap(context, {
      ...{ stage: this.#stage, camera: this.#camera, theme: theme.value },
      ...{ inset: this.#inset, paint, looks, selected, wordsOf },
      rowName: (row) => rowName(row, isNarrow),
      ...columnName &&
        { columnName: (column) => columnName(column, isNarrow) },
    }, scale);
  }

  #move(camera: Camera): void {
    this.#isMoved = true;
    this.#camera = camera;
    this.#drawSoon();
  }

  #zoom(factor: number, at?: Point): void {
    const { widthPx, heightPx } = this.#size;
    const middle = { x: widthPx / 2, y: heightPx / 2 };
    this.#move(
      zoomCamera(this.#stage, this.#camera, { factor, at: at ?? middle }),
    );
  }

  #fit(): void {
    this.#isMoved = false;
    this.#camera = fitCamera(this.#stage);
    this.#drawSoon();
  }

  #showSelected(): void {
    const { selected, columns } = this.props;
    if (selected === undefined || !this.#isMoved) return;
    const row = Math.floor(selected / columns);
    const column = selected % columns;
    this.#camera = showCell(this.#stage, this.#camera, { column, row });
  }

  #cellAt(event: MouseEvent): number | undefined {
    const at = this.#pointOf(event);
    const { column, row } = cellUnder(this.#camera, at);
    const { columns, rows } = this.props;
    const [x, y] = [Math.floor(column), Math.floor(row)];
    const isOn = x >= 0 && y >= 0 && x < columns && y < rows;
    return isOn ? y * columns + x : undefined;
  }

  #pointOf(event: MouseEvent): Point {
    const { left, top } = this.#box.current!.getBoundingClientRect();
    const { leftPx, topPx } = this.#inset;
    return {
      x: event.clientX - left - leftPx,
      y: event.clientY - top - topPx,
    };
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === 0 ? event.deltaY : event.deltaY * 33;
    this.#zoom(Math.exp(-lines / 400), this.#pointOf(event));
  }

  #onPointerDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.#pointers.set(event.pointerId, this.#pointOf(event));
    this.#isDragging = this.#pointers.size > 1;
  }

  #onPointerMove(event: PointerEvent): void {
    this.#hint(event);
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#pointOf(event);
    const by = { x: now.x - before.x, y: now.y - before.y };
    if (!this.#isDragging && Math.hypot(by.x, by.y) < DRAG_PX) return;
    if (!this.#isDragging) {
      this.#box.current!.setPointerCapture(event.pointerId);
    }
    this.#isDragging = true;
    const other = [...this.#pointers]
      .find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (!other) {
      this.#move(panCamera(this.#stage, this.#camera, by));
      return;
    }
    const spread = (point: Point) =>
      Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    const at = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    this.#zoom(spread(now) / spread(before), at);
  }

  /** Says what is under the pointer. Not through Preact: it would render all at each move. */
  #hint(event: PointerEvent): void {
    const hint = this.#hintLine.current;
    const cell = event.pointerType === "mouse" && event.type !== "pointerleave"
      ? this.#cellAt(event)
      : undefined;
    if (hint) {
      hint.textContent = cell === undefined ? "" : this.props.describe(cell);
    }
  }

  #onPointerUp(event: PointerEvent): void {
    if (!this.#pointers.delete(event.pointerId)) return;
    const wasDrag = this.#isDragging;
    if (this.#pointers.size === 0) this.#isDragging = false;
    const cell = this.#cellAt(event);
    if (!wasDrag && cell !== undefined && event.type === "pointerup") {
      this.props.onSelect(cell);
    }
  }

  #onDoubleClick(event: MouseEvent): void {
    const cell = this.#cellAt(event);
    if (cell !== undefined) this.props.onEnter?.(cell);
  }

  #onKeyDown(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { columns, rows, selected, paint, onSelect } = this.props;
    const last = columns * rows - 1;
    const from = selected ?? 0;
    const go = (cell: number | undefined) => {
      if (cell === undefined || cell < 0 || cell > last) return;
      onSelect(selected === undefined ? Math.min(cell, last) : cell);
    };
    const begin = (step: number) => selected === undefined ? from : from + step;
    const keys: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => go(begin(-1)),
      ArrowRight: () => go(begin(1)),
      ArrowUp: () => go(begin(-columns)),
      ArrowDown: () => go(begin(columns)),
      Home: () => go(0),
      End: () => go(last),
      n: () => go(nextUsed(paint, selected ?? -1, 1)),
      p: () => go(nextUsed(paint, selected ?? last + 1, -1)),
      Enter: () => this.props.onEnter?.(from),
      Backspace: () => this.props.onLeave?.(),
      Escape: () => this.props.onLeave?.(),
      "+": () => this.#zoom(KEY_ZOOM),
      "=": () => this.#zoom(KEY_ZOOM),
      "-": () => this.#zoom(1 / KEY_ZOOM),
      "0": () => this.#fit(),
    };
    const act = Object.hasOwn(keys, event.key) ? keys[event.key] : undefined;
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  override render(): JSX.Element {
    const { label, columns, rows, selected, describe, onLeave } = this.props;
    return (
      <div class="cell-map">
        <div
          ref={this.#box}
          class="cell-map-box"
          role="application"
          aria-roledescription="map"
          aria-label={`${label}. Arrow keys move, Enter goes in, Backspace goes out, N and P go to the next and previous one in use, plus and minus zoom.`}
          tabIndex={0}
          style={{ aspectRatio: `${columns} / ${rows}` }}
          onKeyDown={(event) => this.#onKeyDown(event)}
          onPointerDown={(event) => this.#onPointerDown(event)}
          onPointerMove={(event) => this.#onPointerMove(event)}
          onPointerLeave={(event) => this.#hint(event)}
          onPointerUp={(event) => this.#onPointerUp(event)}
          onPointerCancel={(event) => this.#onPointerUp(event)}
          onDblClick={(event) => this.#onDoubleClick(event)}
        >
          <canvas ref={this.#canvas} aria-hidden="true" />
        </div>
        <div class="cell-map-tools">
          <button
            type="button"
            disabled={!onLeave}
            onClick={() => onLeave?.()}
            title="Go out (Backspace)"
            aria-label="Go out"
          >
            ↑
          </button>
          <button
            type="button"
            onClick={() => this.#zoom(KEY_ZOOM)}
            title="Zoom in (+)"
            aria-label="Zoom in"
          >
            +
          </button>
          <button
            type="button"
            onClick={() => this.#zoom(1 / KEY_ZOOM)}
            title="Zoom out (-)"
            aria-label="Zoom out"
          >
            −
          </button>
          <button
            type="button"
            onClick={() => this.#fit()}
            title="Show all (0)"
            aria-label="Show all"
          >
            ⤢
          </button>
        </div>
        <p
          ref={this.#hintLine}
          class="cell-map-hint aside"
          aria-hidden="true"
        />
        <p class="unseen" role="status">
          {selected === undefined ? "" : describe(selected)}
        </p>
      </div>
    );
  }
}
