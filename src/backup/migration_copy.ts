import { IDENTITY_PREFIX } from "../state/identity_records.ts";
import type { Commit, Entry, Key, Store } from "../store/store.ts";
import { Batch } from "../ledger/model.ts";
import { CLUSTER_PREFIX } from "../state/cluster_records.ts";
import type { RegistrySize } from "./port.ts";
import { isMigrationMark } from "../state/migration_marks.ts";
import { isRestoredKey } from "../registry/restore_grace.ts";

/** A part of the entries of a registry. */
export interface RegistryPart {
  readonly prefix: Key;
  /** Whether a key below the prefix belongs to it. */
  readonly has: (key: Key) => boolean;
  /** Whether a copy has no more entries than the original. */
  readonly isExact: boolean;
}

/**
 * The entries of a registry: the cluster, its identities, and the addresses and
 * history of nodes without an agent.
 *
 * @param own nodes of agents whose own state is in the same store
 */
export function registryParts(own: ReadonlySet<string>): RegistryPart[] {
  const isForeign = (node: unknown) => !own.has(String(node));
  return [
    {
      prefix: CLUSTER_PREFIX,
      has: (key) => !isMigrationMark(key),
      isExact: true,
    },
    { prefix: IDENTITY_PREFIX, has: () => true, isExact: true },
    { prefix: ["ip"], has: ([, node]) => isForeign(node), isExact: true },
    { prefix: ["agent"], has: isRestoredKey, isExact: true },
    {
      prefix: ["history"],
      has: (key) => isForeign(key[1] === "ip" ? key[2] : key[4]),
      // Old records are pruned.
      isExact: false,
    },
  ];
}

/** Measures parts of a store. */
export async function measureParts(
  store: Store,
  parts: readonly RegistryPart[],
): Promise<RegistrySize> {
  const size = {
    ...{ nodes: 0, subnets: 0, routes: 0 },
    ...{ held: 0, history: 0, entries: 0, bytes: 0 },
  };
  for (const part of parts) {
    for await (const { key, value } of entriesOf(store, part)) {
      const [first, second, third] = key;
      size.entries++;
      size.bytes += byteLength(key) + byteLength(value);
      if (first === "cluster" && second === "node") size.nodes++;
      if (first === "cluster" && second === "subnet") size.subnets++;
      if (first === "cluster" && second === "route") size.routes++;
      if (first === "ip" && third === "address") size.held++;
      if (first === "history" && second === "time") size.history++;
    }
  }
  return size;
}

/**
 * Copies parts of one store to another. Entries that are there already are not
 * written again, except history.
 *
 * @param commit writes to the target
 * @param onWritten called with the number of entries written or deleted
 */
export async function copyParts(
  { source, target }: { readonly source: Store; readonly target: Store },
  parts: readonly RegistryPart[],
  { commit, onWritten }: {
    readonly commit: (commit: Commit) => Promise<void>;
    readonly onWritten: (entries: number) => void;
  },
): Promise<void> {
  for (const part of parts) {
    let batch = new Batch(target.limits);
    let written = 0;
    const flush = async () => {
      await commit(batch.commit());
      batch = new Batch(target.limits);
      onWritten(written);
      written = 0;
    };
    const add = async (writes: Commit) => {
      batch.add(writes);
      written++;
      if (batch.isFull) await flush();
    };
    const stale = part.isExact ? await textsOf(target, part) : new Map();
    for await (const { key, value } of entriesOf(source, part)) {
      const text = JSON.stringify(key);
      const isThere = stale.get(text) === JSON.stringify(value);
      stale.delete(text);
      if (!isThere) await add({ puts: [{ key, value }] });
    }
    for (const text of stale.keys()) await add({ deletes: [JSON.parse(text)] });
    if (!batch.isEmpty) await flush();
  }
}

/** Compares all entries. Returns the key of the first difference; undefined: none. */
export async function findDifference(
  { source, target }: { readonly source: Store; readonly target: Store },
  parts: readonly RegistryPart[],
): Promise<Key | undefined> {
  for (const part of parts) {
    const copies = entriesOf(target, part);
    try {
      for await (const entry of entriesOf(source, part)) {
        let copy = await copies.next();
        while (!part.isExact && !copy.done && !isSameKey(copy.value, entry)) {
          copy = await copies.next();
        }
        if (copy.done || !isSame(copy.value, entry)) return entry.key;
      }
      const more = part.isExact ? await copies.next() : { done: true as const };
      if (!more.done) return more.value.key;
    } finally {
      await copies.return();
    }
  }
  return undefined;
}

async function* entriesOf(
  store: Store,
  { prefix, has }: RegistryPart,
): AsyncGenerator<Entry, void> {
  for await (const entry of store.list(prefix)) {
    if (has(entry.key)) yield entry;
  }
}

async function textsOf(
  store: Store,
  part: RegistryPart,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { key, value } of entriesOf(store, part)) {
    texts.set(JSON.stringify(key), JSON.stringify(value));
  }
  return texts;
}

function isSame(one: Entry, other: Entry): boolean {
  return isSameKey(one, other) &&
    JSON.stringify(one.value) === JSON.stringify(other.value);
}

function isSameKey(one: Entry, other: Entry): boolean {
  return JSON.stringify(one.key) === JSON.stringify(other.key);
}

function byteLength(value: Entry["value"]): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
