import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { formatUtcMs } from "../../../base/duration.ts";
import { addressBits, formatAddress } from "../../../net/address.ts";
import type { Carve } from "../../../net/carve.ts";
import { capacityOf, formatPrefix } from "../../../net/prefix.ts";
import { CellMap } from "../parts/cell_map.tsx";
import { SpaceLegend } from "../parts/legend.tsx";
import type { Loaded } from "../parts/use_load.ts";
import { SpaceDetails } from "../parts/space_details.tsx";
import { enterCell, leaveOf, selectCell } from "../parts/space_places.ts";
import { SpaceTable } from "../parts/space_table.tsx";
import { useOfCells } from "../plan/cell_use.ts";
import {
  cellAt,
  cellCount,
  cellSize,
  isDeepest,
  type Level,
} from "../plan/levels.ts";
import { paintOf } from "../plan/paint.ts";
import { ADDRESS_LOOKS, ADDRESS_STATES, SLICE_LOOKS } from "../plan/palette.ts";
import type { Slice } from "../plan/slices.ts";
import { describeAddress, formatCount, nameOf } from "../plan/space_text.ts";
import { linkTo, moment } from "../router.ts";
import { type KnownRuns, useRuns } from "../space_data.ts";

const LOOKS = ADDRESS_STATES.map((state) => ADDRESS_LOOKS[state]);
const NO_RUNS: KnownRuns["runs"] = [];

/** A level inside a subnet: its cells are addresses, or many of them. */
export function AddressLevel(
  { carve, level, cell, slice }: {
    readonly carve: Carve;
    readonly level: Level;
    readonly cell: number | undefined;
    /** The subnet; undefined: it is free. */
    readonly slice: Slice | undefined;
  },
): JSX.Element {
  const name = formatPrefix(level.prefix);
  const owner = slice?.state === "owned" ? slice.node : undefined;
  const loaded = useRuns(owner, level.prefix);
  const runs = loaded.value?.runs ?? NO_RUNS;
  const { uses, paint } = useMemo(() => {
    const uses = useOfCells(level, runs);
    return { uses, paint: paintOf(level, uses, { ranked: ADDRESS_STATES }) };
  }, [runs, name]);
  const prefixOf = (at: number) => cellAt(level, at);
  const describe = (at: number) =>
    describeAddress(prefixOf(at), { use: uses[at], slice, level });
  const { family, length } = level.prefix;
  // Of a part of a subnet, no address is left out.
  const total = length === carve.subnetPrefixLength
    ? Number(capacityOf(level.prefix))
    : cellCount(level) * cellSize(level);
  return (
    <>
      <SpaceLegend
        uses={uses}
        unit={cellSize(level)}
        total={total}
        looks={ADDRESS_LOOKS}
        states={ADDRESS_STATES}
      />
      {owner === undefined
        ? (
          <p class="aside">
            No host owns {name}:{" "}
            {slice ? `it is ${SLICE_LOOKS[slice.state].label}` : "it is free"}.
            {" "}
            {slice?.reason}
          </p>
        )
        : <State owner={owner} loaded={loaded} />}
      <div class="space-body">
        <CellMap
          label={`Map of ${name}, addresses in order`}
          of={name}
          columns={level.columns}
          rows={level.rows}
          paint={paint}
          looks={LOOKS}
          selected={cell}
          wordsOf={(at) => [nameOf(prefixOf(at))]}
          rowName={(row, isNarrow) =>
            isNarrow ? "" : formatAddress(prefixOf(row * level.columns))}
          describe={describe}
          onSelect={(at) => selectCell(level, at)}
          onEnter={isDeepest(level) ? undefined : (at) => enterCell(level, at)}
          onLeave={leaveOf(carve, level)}
        />
        <SpaceDetails
          text={cell === undefined ? undefined : describe(cell)}
          prefix={cell === undefined ? undefined : prefixOf(cell)}
          slice={slice}
        />
      </div>
      <SpaceTable
        label="Addresses"
        items={runs}
        rowOf={({ first, last, state }) => {
          const from = formatAddress({ family, value: first });
          const to = formatAddress({ family, value: last });
          return {
            name: from === to ? from : `${from} – ${to}`,
            href: linkTo("space", {
              prefix: name,
              cell: `${from}/${addressBits(family)}`,
            }),
            look: ADDRESS_LOOKS[state],
            node: owner ?? "",
            use: formatCount(Number(last - first) + 1),
            note: "",
            sinceMs: undefined,
          };
        }}
      />
    </>
  );
}

/** Says what of the map is not known, and why. */
function State({ owner, loaded }: {
  readonly owner: string;
  readonly loaded: Loaded<KnownRuns>;
}): JSX.Element | null {
  const { value, why } = loaded;
  const atMs = moment.value;
  if (why !== undefined) {
    return (
      <p class="aside is-warning" role="status">
        The addresses of {owner}{" "}
        {value ? "may be out of date" : "are not known"}
        : {why}
      </p>
    );
  }
  if (!value) return <p class="aside" role="status">Asking {owner}…</p>;
  if (atMs === undefined) return null;
  const { knownSinceMs } = value;
  return (
    <p class="past" role="status">
      {knownSinceMs === undefined
        ? `${owner} has recorded no release: it shows the addresses that are held now and were held then.`
        : atMs < knownSinceMs
        ? `The history of ${owner} goes back to ${
          formatUtcMs(knownSinceMs)
        }: addresses that were released before then may be missing.`
        : "Reservations that have ended since are missing, and leaked addresses count as held."}
    </p>
  );
}
