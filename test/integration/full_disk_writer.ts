import { NetError } from "../../src/base/error.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";
import { collect, Replica } from "../suite/store_suite_support.ts";

/** What the writer found, step by step; printed as JSON. */
export interface FullDiskReport {
  /** Groups acknowledged before the disk was full. */
  readonly acknowledged: number;
  /** Errors of the commits that failed, each kind once: code and message. */
  readonly errors: readonly string[];
  /** Groups of which some entries are missing, and acknowledged ones that are. */
  readonly broken: { full: number; freed: number; reopened: number };
  /** Whether a watcher knows what a listing shows. */
  readonly watcherAgrees: boolean;
  /** Whether entries could be read while the disk was full. */
  readonly read: boolean;
  /** How opening another file failed while the disk was full. */
  readonly opening: string;
  /** Groups acknowledged after space was freed. */
  readonly afterwards: number;
  /** How a commit failed that is larger than the engine's cache and the space left. */
  readonly large: string;
  /** What it had changed, and whether it could be written later. */
  readonly largeChanged: number;
  readonly largeLater: boolean;
}

const GROUP = 5;
const [folder, filler] = Deno.args as [string, string];
const path = `${folder}/state.db`;

/** Writes groups of entries from many tasks at once, until all of them fail or `most` are written. */
async function writeGroups(
  store: Store,
  { from, most, errors }: { from: number; most: number; errors: Set<string> },
): Promise<Set<number>> {
  const written = new Set<number>();
  let next = from;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (next < from + most) {
      const group = next++;
      const puts = Array.from({ length: GROUP }, (_, i) => ({
        key: ["group", group, i],
        value: "x".repeat(1 + Math.floor(Math.random() * 6000)),
      }));
      try {
        const result = await store.commit({ puts });
        if (result.committed) written.add(group);
      } catch (error) {
        errors.add(describe(error));
        return;
      }
    }
  }));
  return written;
}

async function countBroken(
  store: Store,
  acknowledged: ReadonlySet<number>,
): Promise<number> {
  const found = new Map<number, string[]>();
  for await (const { key, version } of store.list(["group"])) {
    const group = key[1] as number;
    found.set(group, [...found.get(group) ?? [], version]);
  }
  const half = [...found.values()].filter((versions) =>
    versions.length !== GROUP || new Set(versions).size !== 1
  );
  const unasked = [...found.keys()].filter((group) => !acknowledged.has(group));
  const lost = [...acknowledged].filter((group) => !found.has(group));
  return half.length + unasked.length + lost.length;
}

function describe(error: unknown): string {
  return error instanceof NetError
    ? `${error.code}: ${error.message}`
    : String(error);
}

/**
 * Changes entries that are spread over more pages than the engine's cache has
 * (2 MB), with less space than that: it fails long before the commit.
 */
async function writeLarge(): Promise<[string, number, boolean]> {
  const values = ["before", "after"].map((name) => name.padEnd(300, "x"));
  const spread = (i: number) => ["spread", (i * 7919) % 1_000_003];
  const putsOf = (from: number, to: number, value: string) =>
    Array.from({ length: to - from }, (_, i) => ({
      key: spread(from + i),
      value,
    }));
  let store = await openDenoKv({ path });
  for (let i = 0; i < 12_000; i += 500) {
    await store.commit({ puts: putsOf(i, i + 500, values[0]!) });
  }
  await store.close();
  store = await openDenoKv({ path });
  await fillDisk(300_000);
  const change = { puts: putsOf(0, 900, values[1]!) };
  const failure = await store.commit(change).then(() => "committed", describe);
  const entries = await collect(store.list(["spread"]));
  const changed = entries.filter(({ value }) => value !== values[0]);
  await Deno.remove(filler);
  const later = await store.commit(change);
  await store.close();
  return [failure, changed.length, later.committed];
}

/** Fills the disk but for so many bytes. */
async function fillDisk(left: number): Promise<void> {
  const file = await Deno.open(filler, { create: true, write: true });
  const block = new Uint8Array(65_536);
  let size = 0;
  try {
    for (;;) size += await file.write(block);
  } catch {
    await file.truncate(size - left);
  } finally {
    file.close();
  }
}

async function main(): Promise<FullDiskReport> {
  const store = await openDenoKv({ path });
  const replica = new Replica();
  const abort = new AbortController();
  const watching = (async () => {
    for await (const event of store.watch([], abort)) replica.apply(event);
  })();

  const errors = new Set<string>();
  const groups = await writeGroups(store, { from: 0, most: 100_000, errors });
  const acknowledged = groups.size;
  await writeGroups(store, { from: 200_000, most: 100, errors });
  const full = await countBroken(store, groups);
  const read = await store.get(["group", 0, 0]) !== null;
  const opening = await openDenoKv({ path: `${folder}/other.db` })
    .then(() => "opened", describe);

  await Deno.remove(filler);
  const more = await writeGroups(store, { from: 300_000, most: 20, errors });
  const all = groups.union(more);
  const freed = await countBroken(store, all);
  const listed = await collect(store.list([]));
  abort.abort();
  await watching;
  const watcherAgrees =
    JSON.stringify(replica.entries()) === JSON.stringify(listed);
  await store.close();

  const again = await openDenoKv({ path });
  const reopened = await countBroken(again, all);
  await again.close();
  const [large, largeChanged, largeLater] = await writeLarge();
  return {
    acknowledged,
    errors: [...errors],
    broken: { full, freed, reopened },
    watcherAgrees,
    read,
    opening,
    afterwards: more.size,
    large,
    largeChanged,
    largeLater,
  };
}

if (import.meta.main) console.log(JSON.stringify(await main()));
