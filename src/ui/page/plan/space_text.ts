import { formatAddress, parseAddress } from "../../../net/address.ts";
import {
  exclusionOf,
  formatPrefix,
  lastAddress,
  parsePrefix,
  type Prefix,
} from "../../../net/prefix.ts";
import { formatShare } from "../../../base/share.ts";
import type { CellUse } from "./cell_use.ts";
import { cellSize, isDeepest, type Level } from "./levels.ts";
import {
  ADDRESS_LOOKS,
  ADDRESS_STATES,
  type ShownAddressState,
  SLICE_LOOKS,
} from "./palette.ts";
import type { Slice } from "./slices.ts";

/** Reads an address or a prefix; undefined: the text is neither. */
export function readWhere(text: string | undefined): Prefix | undefined {
  if (!text) return undefined;
  try {
    if (text.includes("/")) return parsePrefix(text);
    const address = parseAddress(text);
    return { ...address, length: address.family === 4 ? 32 : 128 };
  } catch {
    return undefined;
  }
}

/** An address, or a prefix where it is more than one. */
export function nameOf(prefix: Prefix): string {
  return isAddress(prefix) ? formatAddress(prefix) : formatPrefix(prefix);
}

/** Whether a prefix is a single address. */
export function isAddress(prefix: Prefix): boolean {
  return lastAddress(prefix).value === prefix.value;
}

/** A subnet, or a part of the network, in a sentence. */
export function describeSubnet(
  prefix: Prefix,
  slice: Slice | undefined,
): string {
  const name = formatPrefix(prefix);
  if (!slice) return `${name} is free`;
  const { state, node, reason, used } = slice;
  const by = { owned: " by ", reserved: " for ", released: " by " };
  const of = node === ""
    ? ""
    : state === "conflicting"
    ? ` on ${node}`
    : `${by[state]}${node}`;
  const use = used === undefined ? "" : `, ${formatUse(used)} in use`;
  const why = reason === "" ? "" : `: ${reason}`;
  return `${name} is ${SLICE_LOOKS[state].label}${of}${use}${why}`;
}

/** An address, or some of them, in a sentence. @param slice the subnet around it */
export function describeAddress(
  prefix: Prefix,
  { use, slice, level }: {
    readonly use: CellUse<ShownAddressState> | undefined;
    readonly slice: Slice | undefined;
    readonly level: Level;
  },
): string {
  const name = nameOf(prefix);
  const has = ADDRESS_STATES.filter((state) => (use?.[state] ?? 0) > 0);
  if (isDeepest(level)) {
    const exclusion = slice && exclusionOf(slice.prefix, prefix);
    if (exclusion) return `${name} is the ${exclusion}`;
    return `${name} is ${has[0] ? ADDRESS_LOOKS[has[0]].label : "free"}`;
  }
  const size = cellSize(level);
  const parts = has.map((state) =>
    `${formatCount(Math.max(1, use![state]! * size))} ${
      ADDRESS_LOOKS[state].label
    }`
  );
  return `${name}: ${parts.length === 0 ? "all free" : parts.join(", ")}`;
}

/** A share of a subnet's addresses, such as "12%". */
export function formatUse(share: number): string {
  return formatShare(share, 1);
}

/** A number of addresses: "1,021", or "about 2^64" where nobody wants the digits. */
export function formatCount(count: number): string {
  const whole = Math.round(count);
  return whole < 1e9
    ? whole.toLocaleString("en")
    : `about 2^${Math.round(Math.log2(count))}`;
}
