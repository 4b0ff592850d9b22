import { NetError } from "../base/error.ts";
import type { Allocation, Owner } from "../addresses/plan/allocation.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../net/prefix.ts";
import type { Entry, JsonValue, Key } from "../store/store.ts";

/** How the addresses of a node are stored: keys, and values as JSON. */

type OwnerTuple = readonly [string, string, string];

/** Under {@linkcode poolKey}: what the node allocates from. Every commit rewrites it. */
export interface PoolRecord {
  /** The node's subnets, one of each network. */
  readonly subnets: readonly string[];
  /** The address of each subnet that was given last; missing before the first. */
  readonly cursors: readonly string[];
}

/** Under {@linkcode addressKey}: who holds an address. */
export interface AddressRecord {
  readonly owner: OwnerTuple;
  readonly subnet: string;
  readonly allocatedAtMs: number;
  readonly requested: boolean;
  readonly netns?: string;
  readonly netnsSeen?: boolean;
  readonly bootId?: string;
}

/** Key of what a node allocates from. */
export function poolKey(node: string): Key {
  return ["ip", node, "pool"];
}

/**
 * Key of the subnets of a node whose agent has to take its addresses over: it
 * has joined, and what it was given over the API is still in this store.
 */
export function handoverKey(node: string): Key {
  return ["ip", node, "handover"];
}

/** Key of a held address. Without an address: the prefix of all. */
export function addressKey(node: string, address?: Address): Key {
  return address
    ? ["ip", node, "address", formatAddress(address)]
    : ["ip", node, "address"];
}

/** Key of the addresses that an owner holds. Without an owner: the prefix of all. */
export function ownerRecordKey(node: string, owner?: Owner): Key {
  return owner
    ? ["ip", node, "owner", ...ownerTuple(owner)]
    : ["ip", node, "owner"];
}

/** Key of the time of release of a cooling address. Without an address: the prefix of all. */
export function releasedKey(node: string, address?: Address): Key {
  return address
    ? ["ip", node, "released", formatAddress(address)]
    : ["ip", node, "released"];
}

/** The records of one allocation: one an address, and one for its owner. */
export function allocationPuts(
  node: string,
  allocation: Allocation,
): { key: Key; value: JsonValue }[] {
  const { owner, attachment } = allocation;
  const puts = allocation.addresses.map(({ address, subnet }) => ({
    key: addressKey(node, address),
    value: {
      owner: ownerTuple(owner),
      subnet: formatPrefix(subnet),
      allocatedAtMs: allocation.allocatedAtMs,
      requested: allocation.requested,
      ...(attachment && {
        netns: attachment.netns,
        netnsSeen: attachment.netnsSeen,
        bootId: attachment.bootId,
      }),
    } satisfies AddressRecord as JsonValue,
  }));
  return [...puts, {
    key: ownerRecordKey(node, owner),
    value: {
      addresses: allocation.addresses.map((a) => formatAddress(a.address)),
    },
  }];
}

/** The keys that {@linkcode allocationPuts} wrote. */
export function allocationKeys(node: string, allocation: Allocation): Key[] {
  return [
    ...allocation.addresses.map((a) => addressKey(node, a.address)),
    ownerRecordKey(node, allocation.owner),
  ];
}

/**
 * Makes a reader of address records, each of which is read as an allocation of
 * one address. A reader parses only once what many records share: an agent that
 * starts has all of them to read.
 *
 * @throws {NetError} `failed_precondition` when a record is damaged
 */
export function createAllocationReader(): (entry: Entry) => Allocation {
  const subnets = new Map<string, Prefix>();
  function readSubnet(text: string): Prefix {
    const known = subnets.get(text);
    if (known) return known;
    const subnet = parsePrefix(text);
    subnets.set(text, subnet);
    return subnet;
  }
  return (entry) =>
    readRecord(entry, () => {
      const record = entry.value as unknown as AddressRecord;
      if (!Number.isFinite(record.allocatedAtMs)) {
        throw new TypeError("no time");
      }
      const address = parseAddress(String(entry.key[3]));
      return {
        owner: readOwner(record.owner),
        addresses: [{ address, subnet: readSubnet(record.subnet) }],
        allocatedAtMs: record.allocatedAtMs,
        requested: record.requested === true,
        ...(record.netns !== undefined && {
          attachment: {
            netns: record.netns,
            netnsSeen: record.netnsSeen === true,
            bootId: record.bootId ?? "",
          },
        }),
      };
    });
}

/** Reads the record of a cooling address. @throws {NetError} `failed_precondition` when it is damaged */
export function readReleased(
  entry: Entry,
): { readonly address: Address; readonly releasedAtMs: number } {
  return readRecord(entry, () => {
    const { releasedAtMs } = entry.value as { releasedAtMs: number };
    if (!Number.isFinite(releasedAtMs)) throw new TypeError("no time");
    return { address: parseAddress(String(entry.key[3])), releasedAtMs };
  });
}

/** Reads a pool record. @throws {NetError} `failed_precondition` when it is damaged */
export function readPool(
  entry: Entry,
): { readonly subnet: Prefix; readonly cursor: Address | undefined }[] {
  return readRecord(entry, () => {
    const { subnets, cursors } = entry.value as unknown as PoolRecord;
    return subnets.map((cidr, i) => ({
      subnet: parsePrefix(cidr),
      cursor: cursors[i] === undefined ? undefined : parseAddress(cursors[i]),
    }));
  });
}

/** An owner as it is stored. */
export function ownerTuple(owner: Owner): OwnerTuple {
  return [owner.network, owner.containerId, owner.interfaceName];
}

/** Reads a stored owner. @throws {TypeError} when it is damaged */
export function readOwner(value: unknown): Owner {
  if (
    !Array.isArray(value) || value.length !== 3 ||
    !value.every((part) => typeof part === "string" && part !== "")
  ) throw new TypeError("no owner");
  const [network, containerId, interfaceName] = value as unknown as OwnerTuple;
  return { network, containerId, interfaceName };
}

/** Reads a stored value, and names its key when it is damaged. */
export function readRecord<T>(entry: Entry, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new NetError(
      "failed_precondition",
      `Cannot read ${
        JSON.stringify(entry.key)
      } from the store: its value is damaged; restore the state from a backup`,
      { cause },
    );
  }
}
