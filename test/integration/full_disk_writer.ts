import { NetError } from "../../src/error.ts";
import { openDenoKv } from "../../src/store/deno_kv.ts";
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
  return {
    acknowledged,
    errors: [...errors],
    broken: { full, freed, reopened },
    watcherAgrees,
    read,
    opening,
    afterwards: more.size,
  };
}

if (import.meta.main) console.log(JSON.stringify(await main()));
