import { type Address, addressBits } from "../../../net/address.ts";
import type { Carve } from "../../../net/carve.ts";
import { containsPrefix, type Prefix } from "../../../net/prefix.ts";

/** Most bits by which one level divides a prefix: 8,192 cells. */
const MAX_BITS = 13;

/**
 * One level of the address map: a prefix, and the equal parts of it that the map
 * shows as cells, in order of address, row by row.
 */
export interface Level {
  readonly prefix: Prefix;
  /** Prefix length of a cell. An address where it is 32 or 128. */
  readonly cellLength: number;
  readonly columns: number;
  readonly rows: number;
}

/** A rectangle of the map, in cells. */
export interface CellRect {
  readonly column: number;
  readonly row: number;
}

/**
 * The prefix lengths at which the map of a network stops on its way down: from
 * the network over its subnets to single addresses. No step is larger than 8,192
 * parts, so that nothing is enumerated in a /64.
 */
export function stopsOf({ network, subnetPrefixLength }: Carve): number[] {
  const stops = [network.length];
  for (
    const end of [subnetPrefixLength, addressBits(network.family)]
  ) {
    const begin = stops.at(-1)!;
    const steps = Math.ceil((end - begin) / MAX_BITS);
    for (let step = 1; step <= steps; step++) {
      // The larger steps last, so that the deepest level shows most addresses.
      stops.push(begin + Math.floor((end - begin) * step / steps));
    }
  }
  return stops;
}

/**
 * The level at which the map of a network shows the parts of a prefix. A prefix
 * between two stops is shown by the level that contains it; one of a single
 * address by the level of its neighbours.
 *
 * @returns undefined when the prefix is not in the network
 */
export function levelOf(carve: Carve, prefix: Prefix): Level | undefined {
  if (!containsPrefix(carve.network, prefix)) return undefined;
  const stops = stopsOf(carve);
  const at = stops.findLastIndex((stop, i) =>
    stop <= prefix.length && i < stops.length - 1
  );
  const [length, cellLength] = [stops[at]!, stops[at + 1]!];
  const bits = cellLength - length;
  return {
    prefix: widen(prefix, length),
    cellLength,
    columns: 2 ** Math.ceil(bits / 2),
    rows: 2 ** Math.floor(bits / 2),
  };
}

/** The levels from the network down to a level, that one included. */
export function pathTo(carve: Carve, level: Level): Level[] {
  return stopsOf(carve).filter((stop) => stop <= level.prefix.length)
    .flatMap((stop) => levelOf(carve, widen(level.prefix, stop)) ?? []);
}

/** Number of cells of a level. */
export function cellCount({ columns, rows }: Level): number {
  return columns * rows;
}

/** Whether the cells of a level are single addresses. */
export function isDeepest({ prefix, cellLength }: Level): boolean {
  return cellLength === addressBits(prefix.family);
}

/** The prefix of a cell. @throws {RangeError} when there is no such cell */
export function cellAt(level: Level, index: number): Prefix {
  if (!Number.isInteger(index) || index < 0 || index >= cellCount(level)) {
    throw new RangeError(`there is no cell ${index}`);
  }
  const { prefix, cellLength } = level;
  return {
    family: prefix.family,
    value: prefix.value + (BigInt(index) << cellBits(level)),
    length: cellLength,
  };
}

/** The cell that an address, or the begin of a prefix, lies in; undefined: in none. */
export function cellOf(
  level: Level,
  { family, value }: Address,
): number | undefined {
  if (family !== level.prefix.family) return undefined;
  const index = (value - level.prefix.value) >> cellBits(level);
  return index < 0n || index >= BigInt(cellCount(level))
    ? undefined
    : Number(index);
}

/** Number of addresses of a cell. A double: that of a /64 is not exact. */
export function cellSize(level: Level): number {
  return 2 ** Number(cellBits(level));
}

/** Where a cell is: row by row in order of address. */
export function rectOf({ columns }: Level, index: number): CellRect {
  return { column: index % columns, row: Math.floor(index / columns) };
}

/** The cell at a place; undefined beside the map. */
export function indexAt(
  { columns, rows }: Level,
  { column, row }: CellRect,
): number | undefined {
  const [x, y] = [Math.floor(column), Math.floor(row)];
  return x < 0 || y < 0 || x >= columns || y >= rows
    ? undefined
    : y * columns + x;
}

/** The part of a level that a range of addresses covers, first and last cell. */
export function cellsOf(
  level: Level,
  { first, last }: { readonly first: bigint; readonly last: bigint },
): { readonly from: number; readonly to: number } | undefined {
  const bits = cellBits(level);
  const begin = level.prefix.value;
  const end = begin + (BigInt(cellCount(level)) << bits) - 1n;
  if (last < begin || first > end) return undefined;
  return {
    from: Number(((first < begin ? begin : first) - begin) >> bits),
    to: Number(((last > end ? end : last) - begin) >> bits),
  };
}

function cellBits({ prefix, cellLength }: Level): bigint {
  return BigInt(addressBits(prefix.family) - cellLength);
}

function widen(prefix: Prefix, length: number): Prefix {
  const bits = BigInt(addressBits(prefix.family) - length);
  return { ...prefix, value: (prefix.value >> bits) << bits, length };
}
