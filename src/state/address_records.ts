import type { JsonReader } from "../base/json_reader.ts";
import type { Allocation, Reservation } from "../addresses/plan/allocation.ts";
import type { Owner } from "../base/names.ts";
import type { Attachment } from "../addresses/plan/attachment.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../net/prefix.ts";
import type { Entry, JsonValue, Key } from "../store/store.ts";
import { readEntry } from "./read_entry.ts";

// Keys and values of the addresses of a node.

type OwnerTuple = readonly [string, string, string];

/** The value of a held address. */
interface AddressRecord {
  readonly owner: OwnerTuple;
  readonly subnet: string;
  readonly id: string;
  readonly allocatedAtMs: number;
  readonly requested: boolean;
  readonly netns?: string;
  readonly netnsSeen?: boolean;
  readonly namespace?: { readonly inode: number; readonly since: string };
  readonly bootId?: string;
  readonly supersedes?: readonly string[];
}

/** Key of the subnets and cursors of a node. Every commit rewrites it. */
export function poolKey(node: string): Key {
  return ["ip", node, "pool"];
}

/**
 * Key of the subnets of a node that has joined and whose agent has not taken
 * over yet what the node was given over the API.
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

/** The records of one allocation: one for each address, and one for its owner. */
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
      id: allocation.id,
      allocatedAtMs: allocation.allocatedAtMs,
      requested: allocation.requested,
      ...attachment,
    } satisfies AddressRecord as unknown as JsonValue,
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
 * Makes a reader of held addresses, which reads each as an allocation of one
 * address. It parses each subnet only once, because an agent that starts reads
 * a record for every address.
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
    readEntry(entry, "held address", (record) => {
      const address = parseAddress(String(entry.key[3]));
      const allocatedAtMs = record.count("allocatedAtMs");
      const attachment = readAttachment(record);
      return {
        // Before version 3 of the schema an allocation had no id.
        id: record.optionalText("id") ?? `since-${allocatedAtMs}`,
        owner: readOwner(record, "owner"),
        addresses: [{ address, subnet: readSubnet(record.text("subnet")) }],
        allocatedAtMs,
        requested: record.optionalFlag("requested") === true,
        ...(attachment && { attachment }),
      };
    });
}

function readAttachment(record: JsonReader): Attachment | undefined {
  const netns = record.optionalText("netns");
  if (netns === undefined) return undefined;
  const namespace = record.optionalObject("namespace");
  const supersedes = record.optionalTexts("supersedes");
  return {
    netns,
    netnsSeen: record.optionalFlag("netnsSeen") === true,
    bootId: record.optionalText("bootId") ?? "",
    ...(namespace && {
      namespace: {
        inode: namespace.count("inode"),
        since: namespace.text("since"),
      },
    }),
    ...(supersedes && { supersedes }),
  };
}

/** Key of a reserved address. Without an address: the prefix of all. */
export function reservedKey(node: string, address?: Address): Key {
  return address
    ? ["ip", node, "reserved", formatAddress(address)]
    : ["ip", node, "reserved"];
}

/** The value of a reservation, see {@linkcode readReservation}. */
export function reservationValue(reservation: Reservation): JsonValue {
  const { owner, reason, reservedAtMs } = reservation;
  return { ...(owner && { owner: ownerTuple(owner) }), reason, reservedAtMs };
}

/** Reads a reservation. @throws {NetError} `failed_precondition` when it is damaged */
export function readReservation(entry: Entry): Reservation {
  return readEntry(entry, "reservation", (record) => ({
    address: parseAddress(String(entry.key[3])),
    ...(record.optionalTexts("owner") && { owner: readOwner(record, "owner") }),
    reason: record.text("reason"),
    reservedAtMs: record.count("reservedAtMs"),
  }));
}

/** Reads the record of a cooling address. @throws {NetError} `failed_precondition` when it is damaged */
export function readReleased(
  entry: Entry,
): { readonly address: Address; readonly releasedAtMs: number } {
  return readEntry(entry, "released address", (record) => ({
    address: parseAddress(String(entry.key[3])),
    releasedAtMs: record.count("releasedAtMs"),
  }));
}

/** Reads a pool. @throws {NetError} `failed_precondition` when it is damaged */
export function readPool(
  entry: Entry,
): { readonly subnet: Prefix; readonly cursor: Address | undefined }[] {
  return readEntry(entry, "pool", (record) => {
    const cursors = record.texts("cursors").map(parseAddress);
    return record.texts("subnets").map((cidr, i) => ({
      subnet: parsePrefix(cidr),
      cursor: cursors[i],
    }));
  });
}

/** The value of a pool, see {@linkcode readPool}. */
export function poolValue(
  pools: readonly {
    readonly subnet: Prefix;
    /** The last address given out; undefined, for all of them, before the first. */
    readonly cursor: Address | undefined;
  }[],
): JsonValue {
  return {
    subnets: pools.map(({ subnet }) => formatPrefix(subnet)),
    cursors: pools.flatMap(({ cursor }) =>
      cursor ? [formatAddress(cursor)] : []
    ),
  };
}

/** An owner as the store keeps it. */
export function ownerTuple(owner: Owner): OwnerTuple {
  return [owner.network, owner.containerId, owner.interfaceName];
}

/** Reads a stored owner. @throws {RangeError} when it is damaged */
export function readOwner(record: JsonReader, key: string): Owner {
  const parts = record.texts(key);
  if (parts.length !== 3 || parts.includes("")) {
    throw record.invalid(key, "it is not the three parts of an owner");
  }
  const [network, containerId, interfaceName] = parts as [
    string,
    string,
    string,
  ];
  return { network, containerId, interfaceName };
}
