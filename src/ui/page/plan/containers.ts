import { timestampMs } from "@bufbuild/protobuf/wkt";
import type {
  Allocation,
  HistoryRecord,
} from "../../../gen/stellar/net/v1/ipam_pb.ts";
import { compareAddresses, parseAddress } from "../../../net/address.ts";
import { ownerKey } from "./allocation_view.ts";

/** A container with its addresses. */
export interface ContainerRow {
  /** Tells rows apart. */
  readonly key: string;
  readonly addresses: readonly string[];
  readonly container: string;
  readonly network: string;
  readonly interfaceName: string;
  /** In ms since 1970; undefined: not recorded. */
  readonly sinceMs: number | undefined;
  /** Why it seems to be leaked; empty: it does not. */
  readonly leak: string;
  /** Such as `app=web, tier=1`; empty: none. */
  readonly labels: string;
}

/**
 * The containers to list, those with leaked addresses first, in order of address.
 *
 * @param text a part of the id, an address or a label; empty: all
 */
export function listContainers(
  allocations: readonly Allocation[],
  text: string,
): ContainerRow[] {
  const wanted = text.trim().toLowerCase();
  return allocations.map((allocation) => ({
    row: rowOf(allocation),
    first: parseAddress(allocation.addresses[0]?.address ?? "0.0.0.0"),
  })).filter(({ row }) =>
    [row.container, row.labels, ...row.addresses]
      .some((each) => each.toLowerCase().includes(wanted))
  ).sort((a, b) =>
    Number(b.row.leak !== "") - Number(a.row.leak !== "") ||
    compareAddresses(a.first, b.first)
  ).map(({ row }) => row);
}

/** Sorts what has an address in order of address. */
export function sortByAddress<T extends { readonly address: string }>(
  items: readonly T[],
): T[] {
  return items.map((item) => ({ item, at: parseAddress(item.address) }))
    .sort((a, b) => compareAddresses(a.at, b.at)).map(({ item }) => item);
}

/** The last releases of a history, the latest first. */
export function lastReleased(
  records: readonly HistoryRecord[],
  most: number,
): HistoryRecord[] {
  const atMs = ({ releasedAt }: HistoryRecord) =>
    releasedAt ? timestampMs(releasedAt) : 0;
  return records.filter(({ releasedAt }) => releasedAt)
    .sort((a, b) => atMs(b) - atMs(a)).slice(0, most);
}

function rowOf(allocation: Allocation): ContainerRow {
  const { owner, addresses, allocatedAt, leak, labels } = allocation;
  return {
    key: ownerKey(owner),
    addresses: addresses.map(({ address }) => address),
    container: owner?.containerId ?? "",
    network: owner?.network ?? "",
    interfaceName: owner?.interfaceName ?? "",
    sinceMs: allocatedAt && timestampMs(allocatedAt),
    leak,
    labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`)
      .join(", "),
  };
}
