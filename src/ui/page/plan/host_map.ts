import type { Paint } from "./paint.ts";
import { FREE, GROUND, type Look } from "./palette.ts";
import {
  type Condition,
  CONDITION_LOOKS,
  FULL_SHARE,
  type HostStatus,
  usedShareOf,
} from "./host_status.ts";

/** A map of hosts, one cell each, in the order of names, row by row. */
export interface HostMap {
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
  readonly looks: readonly Look[];
}

/** Tones of the palette of maps. */
const WRONG = { light: "#c03d00", dark: "#ff8a4c" };
const WARNING = { light: "#a8641c", dark: "#e8b04d" };
const DULL = { light: "#7a838f", dark: "#69727f" };
const USED = { light: "#005a9c", dark: "#4da3e8" };

function lookOf(
  condition: Condition,
  rest: Pick<Look, "mark" | "colours">,
): Look {
  const { label, sign } = CONDITION_LOOKS[condition];
  return { label, letter: sign, ...rest };
}

/** Behind the last host there is nothing. */
const NOTHING: Look = {
  ...{ label: "", letter: "", mark: "plain", colours: GROUND },
};

/** The look of a host without a problem: the ground of the map. */
export const WELL_LOOK: Look = {
  ...{ label: CONDITION_LOOKS.well.label, letter: "", mark: "plain" },
  colours: FREE,
};

/** The looks of the other conditions: one that has to be seen is the only one with a colour. */
export const CONDITION_CELLS: Readonly<
  Record<Exclude<Condition, "well">, Look>
> = {
  silent: lookOf("silent", { mark: "stripes", colours: WRONG }),
  error: lookOf("error", { mark: "cross", colours: WRONG }),
  warning: lookOf("warning", { mark: "dot", colours: WARNING }),
  unknown: lookOf("unknown", { mark: "dot", colours: DULL }),
  "no-agent": lookOf("no-agent", { mark: "stripes", colours: DULL }),
};

/** The looks of a map by use: the height of a bar is the share of a host's addresses. */
export const USE_CELLS: Readonly<Record<"full" | "used" | "unknown", Look>> = {
  full: {
    ...{ label: "90 % of its addresses and more", letter: "!" },
    ...{ mark: "cross", colours: WARNING },
  },
  used: {
    ...{ label: "a bar as high as its use", letter: "" },
    ...{ mark: "plain", colours: USED },
  },
  unknown: { ...CONDITION_CELLS.unknown, label: "not known" },
};

/**
 * Lays hosts out and paints them.
 *
 * @param ratio of the map's width to its height
 */
export function mapHosts(
  statuses: readonly HostStatus[],
  { by, ratio }: {
    readonly by: "state" | "use";
    readonly ratio: number;
  },
): HostMap {
  const columns = Math.max(1, Math.ceil(Math.sqrt(statuses.length * ratio)));
  const rows = Math.max(1, Math.ceil(statuses.length / columns));
  const looks = [
    ...by === "state"
      ? Object.values(CONDITION_CELLS)
      : Object.values(USE_CELLS),
    NOTHING,
  ];
  const cells = columns * rows;
  const states = new Uint8Array(cells).fill(looks.length, statuses.length);
  const bars = new Float32Array(cells).fill(1);
  for (const [cell, status] of statuses.entries()) {
    const look = by === "state" ? stateCell(status) : useCell(status);
    states[cell] = look ? looks.indexOf(look) + 1 : 0;
    if (by === "use") bars[cell] = usedShareOf(status) ?? 1;
  }
  return { columns, rows, paint: { states, bars }, looks };
}

function stateCell({ condition }: HostStatus): Look | undefined {
  return condition === "well" ? undefined : CONDITION_CELLS[condition];
}

function useCell(status: HostStatus): Look | undefined {
  const share = usedShareOf(status);
  if (share === undefined) return USE_CELLS.unknown;
  if (share === 0) return undefined;
  return share >= FULL_SHARE ? USE_CELLS.full : USE_CELLS.used;
}
