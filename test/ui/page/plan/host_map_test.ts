import assert from "node:assert/strict";
import {
  CONDITION_CELLS,
  mapHosts,
  USE_CELLS,
} from "../../../../src/ui/page/plan/host_map.ts";
import {
  type Condition,
  CONDITIONS,
  type HostStatus,
} from "../../../../src/ui/page/plan/host_status.ts";

function status(
  condition: Condition,
  [held, cooling, capacity]: readonly [number, number, number] = [0, 0, 0],
): HostStatus {
  return { name: "", condition, held, cooling, capacity, problems: 0 };
}

Deno.test("mapHosts() has a cell for each host, and says where they end", async (t) => {
  const rows: readonly [
    hosts: number,
    ratio: number,
    columns: number,
    rows: number,
  ][] = [
    [0, 2.5, 1, 1],
    [1, 2.5, 2, 1],
    [10, 2.5, 5, 2],
    [4096, 2.5, 102, 41],
    [4096, 0.8, 58, 71],
  ];
  for (const [hosts, ratio, columns, lines] of rows) {
    await t.step(`${hosts} hosts, ${ratio}`, () => {
      const all = Array.from({ length: hosts }, () => status("well"));
      const map = mapHosts(all, { by: "state", ratio });
      assert.deepEqual([map.columns, map.rows], [columns, lines]);
      const { states } = map.paint;
      assert.equal(states.length, columns * lines);
      assert.ok(states.slice(0, hosts).every((state) => state === 0));
      const nothing = map.looks.length;
      assert.ok(states.slice(hosts).every((state) => state === nothing));
    });
  }
});

Deno.test("mapHosts() by state paints each condition but a good one", () => {
  const { paint, looks } = mapHosts(
    CONDITIONS.map((condition) => status(condition)),
    { by: "state", ratio: 6 },
  );
  assert.deepEqual(
    [...paint.states].map((state) => looks[state - 1]),
    CONDITIONS.map((condition) =>
      condition === "well" ? undefined : CONDITION_CELLS[condition]
    ),
  );
});

Deno.test("mapHosts() by use paints a bar, a full host and one that is not known", () => {
  const { paint, looks } = mapHosts([
    status("well", [0, 0, 100]),
    status("error", [20, 5, 100]),
    status("well", [80, 10, 100]),
    status("unknown"),
  ], { by: "use", ratio: 4 });
  assert.deepEqual(
    [...paint.states].map((state) => looks[state - 1]),
    [undefined, USE_CELLS.used, USE_CELLS.full, USE_CELLS.unknown],
  );
  assert.deepEqual([...paint.bars].map((bar) => bar.toFixed(2)), [
    ...["0.00", "0.25", "0.90", "1.00"],
  ]);
});
