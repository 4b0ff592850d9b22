import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Camera,
  cellUnder,
  clampCamera,
  fitCamera,
  panCamera,
  showCell,
  type Stage,
  visibleCells,
  zoomCamera,
} from "../../../../src/ui/page/plan/camera.ts";

const stages = fc.record({
  widthPx: fc.integer({ min: 200, max: 3840 }),
  heightPx: fc.integer({ min: 200, max: 2160 }),
  columns: fc.constantFrom(1, 2, 32, 64),
  rows: fc.constantFrom(1, 2, 32, 64),
});
const shares = fc.double({ min: 0, max: 1, noNaN: true });
const places = fc.record({ x: shares, y: shares });

/** A stage with a camera that somebody has zoomed and moved. */
const looks = fc.record({
  stage: stages,
  zooms: fc.array(
    fc.record({
      factor: fc.double({ min: 0.2, max: 5, noNaN: true }),
      at: places,
    }),
    { maxLength: 5 },
  ),
}).map(({ stage, zooms }) => ({
  stage,
  camera: zooms.reduce(
    (camera, { factor, at }) =>
      zoomCamera(stage, camera, { factor, at: onScreen(stage, at) }),
    fitCamera(stage),
  ),
}));

function onScreen(stage: Stage, at: { x: number; y: number }) {
  return { x: at.x * stage.widthPx, y: at.y * stage.heightPx };
}

function isNear(a: Camera, b: Camera): boolean {
  return Math.abs(a.x - b.x) < 1e-6 && Math.abs(a.y - b.y) < 1e-6 &&
    Math.abs(a.cellPx - b.cellPx) < 1e-9;
}

Deno.test("fitCamera() shows the whole map", () => {
  fc.assert(fc.property(stages, (stage) => {
    const { left, right, top, bottom } = visibleCells(stage, fitCamera(stage));
    assert.deepEqual(
      [left, right, top, bottom],
      [0, stage.columns - 1, 0, stage.rows - 1],
    );
  }));
});

Deno.test("zoomCamera() and panCamera() keep the map on the screen", () => {
  fc.assert(fc.property(looks, places, ({ stage, camera }, by) => {
    const panned = panCamera(stage, camera, onScreen(stage, by));
    for (const each of [camera, panned]) {
      assert.ok(isNear(clampCamera(stage, each), each));
      assert.ok(each.cellPx >= fitCamera(stage).cellPx - 1e-9);
    }
  }));
});

Deno.test("zoomCamera() keeps the place under the pointer where the map is larger than the screen", () => {
  const stage = { widthPx: 800, heightPx: 600, columns: 64, rows: 64 };
  const at = { x: 400, y: 300 };
  const close = zoomCamera(stage, fitCamera(stage), { factor: 4, at });
  const closer = zoomCamera(stage, close, { factor: 2, at });
  const before = cellUnder(close, at);
  const after = cellUnder(closer, at);
  assert.ok(Math.abs(before.column - after.column) < 1e-9);
  assert.ok(Math.abs(before.row - after.row) < 1e-9);
  const closest = zoomCamera(stage, close, { factor: 1e9, at });
  assert.equal(closest.cellPx, 160);
  const farthest = zoomCamera(stage, close, { factor: 1e-9, at });
  assert.ok(isNear(farthest, fitCamera(stage)));
});

Deno.test("showCell() brings a cell into view, and moves nothing that is in view", () => {
  fc.assert(
    fc.property(looks, shares, shares, ({ stage, camera }, x, y) => {
      const column = Math.floor(x * (stage.columns - 1));
      const row = Math.floor(y * (stage.rows - 1));
      const shown = showCell(stage, camera, { column, row });
      const { left, right, top, bottom } = visibleCells(stage, shown);
      assert.ok(column >= left && column <= right);
      assert.ok(row >= top && row <= bottom);
      assert.ok(isNear(showCell(stage, shown, { column, row }), shown));
    }),
  );
});
