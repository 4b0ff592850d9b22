import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { addressBits, formatAddress } from "../../../net/address.ts";
import type { Carve } from "../../../net/carve.ts";
import { formatPrefix, overlaps } from "../../../net/prefix.ts";
import { CellMap } from "../parts/cell_map.tsx";
import { SpaceLegend } from "../parts/legend.tsx";
import { SpaceDetails } from "../parts/space_details.tsx";
import { enterCell, leaveOf, selectCell } from "../parts/space_places.ts";
import { SpaceTable } from "../parts/space_table.tsx";
import { useOfCells } from "../plan/cell_use.ts";
import {
  cellAt,
  cellCount,
  cellOf,
  cellSize,
  type Level,
} from "../plan/levels.ts";
import { paintOf } from "../plan/paint.ts";
import { SLICE_LOOKS } from "../plan/palette.ts";
import {
  runsOfSlices,
  type Slice,
  SLICE_STATES,
  sliceAround,
} from "../plan/slices.ts";
import { describeSubnet, formatUse } from "../plan/space_text.ts";
import { linkTo } from "../router.ts";

const LOOKS = SLICE_STATES.map((state) => SLICE_LOOKS[state]);

/** A level whose cells are subnets, or many of them. */
export function SubnetLevel(
  { carve, level, cell, slices }: {
    readonly carve: Carve;
    readonly level: Level;
    readonly cell: number | undefined;
    readonly slices: readonly Slice[];
  },
): JSX.Element {
  const name = formatPrefix(level.prefix);
  const { inside, uses, paint } = useMemo(() => {
    const inside = slices.filter(({ prefix }) =>
      overlaps(prefix, level.prefix)
    );
    const uses = useOfCells(level, runsOfSlices(inside));
    const fill = new Map(
      inside.flatMap(({ prefix, state, used = 1 }) =>
        state === "owned" && prefix.length === level.cellLength
          ? [[cellOf(level, prefix), used] as const]
          : []
      ),
    );
    const paint = paintOf(level, uses, {
      ranked: SLICE_STATES,
      fillOf: (at) => fill.get(at),
    });
    return { inside, uses, paint };
  }, [slices, name]);
  const prefixOf = (at: number) => cellAt(level, at);
  const sliceOf = (at: number) => sliceAround(inside, prefixOf(at));
  const describe = (at: number) => describeSubnet(prefixOf(at), sliceOf(at));
  const perSubnet = 2 **
    (addressBits(level.prefix.family) - carve.subnetPrefixLength);
  const unit = cellSize(level) / perSubnet;
  return (
    <>
      <SpaceLegend
        uses={uses}
        unit={unit}
        total={cellCount(level) * unit}
        looks={SLICE_LOOKS}
        states={SLICE_STATES}
      />
      <div class="space-body">
        <CellMap
          label={`Map of ${name}, subnets in order of address`}
          of={name}
          columns={level.columns}
          rows={level.rows}
          paint={paint}
          looks={LOOKS}
          selected={cell}
          wordsOf={(at) => {
            const slice = sliceOf(at);
            const what = slice ? SLICE_LOOKS[slice.state].label : "free";
            return [formatPrefix(prefixOf(at)), slice?.node || what];
          }}
          rowName={(row, isNarrow) =>
            isNarrow ? "" : formatAddress(prefixOf(row * level.columns))}
          describe={describe}
          onSelect={(at) => selectCell(level, at)}
          onEnter={(at) => enterCell(level, at)}
          onLeave={leaveOf(carve, level)}
        />
        <SpaceDetails
          text={cell === undefined ? undefined : describe(cell)}
          prefix={cell === undefined ? undefined : prefixOf(cell)}
          slice={cell === undefined ? undefined : sliceOf(cell)}
        />
      </div>
      <SpaceTable
        label="Subnets"
        items={inside}
        rowOf={(slice) => ({
          name: slice.cidr,
          href: linkTo("space", { prefix: slice.cidr }),
          look: SLICE_LOOKS[slice.state],
          node: slice.node,
          use: slice.used === undefined ? "" : formatUse(slice.used),
          note: slice.reason,
          sinceMs: slice.sinceMs,
        })}
      />
    </>
  );
}
