import type { JsonReader } from "../base/json_reader.ts";
import type { Allocation, Reservation } from "../addresses/plan/allocation.ts";
import type { Labels, Owner } from "../base/names.ts";
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
  readonly docker?: { readonly poolId: string; readonly macAddress: string };
  /** Each as `key=value`. */
  readonly labels?: readonly string[];
  readonly ttlMs?: number;
  readonly renewals?: number;
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

/**
 * Key of a part of a batch that one commit has made durable, and whose own
 * records are not all written yet. Without a number: the prefix of all.
 */
export function pendingKey(node: string, part?: number): Key {
  return ["ip", node, "pending", ...part === undefined ? [] : [part]];
}

/** Bytes of JSON of one part of a batch: below the largest value of any store. */
const PENDING_BYTES = 49_152;

/** A change of a batch. */
type PendingChange =
  | { readonly kind: "hold" | "renew"; readonly allocation: Allocation }
  | {
    readonly kind: "release";
    readonly allocation: Allocation;
    readonly releasedAtMs: number;
    readonly reason: string;
  };

/** The entries of a batch, see {@linkcode readPending}. */
export function pendingPuts(
  node: string,
  changes: readonly (PendingChange | { readonly kind: string })[],
): { key: Key; value: JsonValue }[] {
  const puts: { key: Key; value: JsonValue }[] = [];
  let part: JsonValue[] = [];
  let bytes = 0;
  const end = () => {
    const key = pendingKey(node, puts.length);
    if (part.length > 0) puts.push({ key, value: { changes: part } });
    [part, bytes] = [[], 0];
  };
  for (const change of changes) {
    if (!("allocation" in change)) {
      throw new TypeError(`Cannot record a batch with ${change.kind}`);
    }
    const value = pendingValue(change);
    const size = encoder.encode(JSON.stringify(value)).length;
    if (bytes + size > PENDING_BYTES) end();
    part.push(value);
    bytes += size;
  }
  end();
  return puts;
}

const encoder = new TextEncoder();

function pendingValue(change: PendingChange): JsonValue {
  const { addresses } = change.allocation;
  return {
    kind: change.kind,
    addresses: addresses.map(({ address }) => formatAddress(address)),
    subnets: addresses.map(({ subnet }) => formatPrefix(subnet)),
    // Of all addresses, only the subnet differs.
    ...addressValue(change.allocation, addresses[0]!.subnet) as Readonly<
      Record<string, JsonValue>
    >,
    ...change.kind === "release" && {
      releasedAtMs: change.releasedAtMs,
      reason: change.reason,
    },
  };
}

/** Reads a part of a batch. @throws {NetError} `failed_precondition` when it is damaged */
export function readPending(entry: Entry): PendingChange[] {
  return readEntry(
    entry,
    "batch",
    (record) =>
      record.objects("changes").map((change): PendingChange => {
        const subnets = change.texts("subnets").map((text) =>
          parsePrefix(text)
        );
        const allocation: Allocation = {
          ...readTerms(change),
          addresses: change.texts("addresses").map((text, i) => ({
            address: parseAddress(text),
            subnet: subnets[i]!,
          })),
        };
        const kind = change.text("kind");
        if (kind === "hold" || kind === "renew") return { kind, allocation };
        return {
          kind: "release",
          allocation,
          releasedAtMs: change.count("releasedAtMs"),
          reason: change.text("reason"),
        };
      }),
  );
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
  const { owner } = allocation;
  const puts = allocation.addresses.map(({ address, subnet }) => ({
    key: addressKey(node, address),
    value: addressValue(allocation, subnet),
  }));
  return [...puts, {
    key: ownerRecordKey(node, owner),
    value: {
      addresses: allocation.addresses.map((a) => formatAddress(a.address)),
    },
  }];
}

/** The value of one address of an allocation. */
function addressValue(allocation: Allocation, subnet: Prefix): JsonValue {
  const { labels, ttlMs, renewals } = allocation;
  return {
    owner: ownerTuple(allocation.owner),
    subnet: formatPrefix(subnet),
    id: allocation.id,
    allocatedAtMs: allocation.allocatedAtMs,
    requested: allocation.requested,
    ...allocation.attachment,
    ...labels && {
      labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
    },
    ...ttlMs !== undefined && { ttlMs },
    ...renewals !== undefined && { renewals },
  } satisfies AddressRecord as unknown as JsonValue;
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
      return {
        ...readTerms(record),
        addresses: [{ address, subnet: readSubnet(record.text("subnet")) }],
      };
    });
}

/** Reads all of an allocation but its addresses. */
function readTerms(record: JsonReader): Omit<Allocation, "addresses"> {
  const allocatedAtMs = record.count("allocatedAtMs");
  const attachment = readAttachment(record);
  const labels = record.optionalTexts("labels");
  const ttlMs = record.optionalCount("ttlMs", 1);
  const renewals = record.optionalCount("renewals");
  return {
    // Before version 3 of the schema an allocation had no id.
    id: record.optionalText("id") ?? `since-${allocatedAtMs}`,
    owner: readOwner(record, "owner"),
    allocatedAtMs,
    requested: record.optionalFlag("requested") === true,
    ...(attachment && { attachment }),
    ...(labels && { labels: readLabels(labels) }),
    ...(ttlMs !== undefined && { ttlMs }),
    ...(renewals !== undefined && { renewals }),
  };
}

function readLabels(texts: readonly string[]): Labels {
  return Object.fromEntries(texts.map((text) => {
    const end = text.indexOf("=");
    return [text.slice(0, end), text.slice(end + 1)];
  }));
}

function readAttachment(record: JsonReader): Attachment | undefined {
  const netns = record.optionalText("netns");
  if (netns === undefined) return undefined;
  const namespace = record.optionalObject("namespace");
  const supersedes = record.optionalTexts("supersedes");
  const docker = record.optionalObject("docker");
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
    ...(docker && {
      docker: {
        poolId: docker.text("poolId"),
        macAddress: docker.text("macAddress"),
      },
    }),
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
