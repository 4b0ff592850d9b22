import {
  ABSENT,
  type FileOperation,
  type Found,
  type Item,
  type Kept,
} from "./item.ts";
import type { Entry } from "./manifest.ts";

/** What is known of a host before something is installed on it, or removed. */
export interface InstallState {
  /** By path; a path that is missing is absent. */
  readonly found: ReadonlyMap<string, Found>;
  /** What was installed before. */
  readonly entries: readonly Entry[];
  /** Whether what an operator has changed is replaced, too. */
  readonly force: boolean;
}

/** What is done, what is not, and what counts as installed after that. */
export interface InstallPlan {
  readonly operations: readonly FileOperation[];
  readonly kept: readonly Kept[];
  readonly entries: readonly Entry[];
}

const CHANGED = "it was changed since it was installed";
const FOREIGN = "it is there, and was not installed by this program";
const FOLDER = "it is a folder";

/**
 * The operations after which all items are in place, and those gone that an
 * earlier installation had and this one has not. What was changed by others
 * stays as it is; nothing that is as it should be is touched.
 */
export function planInstall(
  items: readonly Item[],
  state: InstallState,
): InstallPlan {
  const placed = items.map((item) => place(item, state));
  const paths = new Set(items.map(({ path }) => path));
  const former = planRemoval({
    ...state,
    entries: state.entries.filter(({ path }) => !paths.has(path)),
  });
  return {
    operations: [...placed, former].flatMap(({ operations }) => operations),
    kept: [...placed, former].flatMap(({ kept }) => kept),
    entries: [...placed, former].flatMap(({ entries }) => entries),
  };
}

/** The operations that remove what was installed. What was changed by others stays, and counts as installed. */
export function planRemoval(
  { found, entries, force }: InstallState,
): InstallPlan {
  const operations: FileOperation[] = [];
  const kept: Kept[] = [];
  const left: Entry[] = [];
  for (const entry of entries) {
    const { path } = entry;
    const there = found.get(path) ?? ABSENT;
    if (there.kind === "absent") continue;
    const isFolder = there.kind === "folder";
    if (isFolder || !force && !isAsInstalled(entry, there)) {
      kept.push({ path, why: isFolder ? FOLDER : CHANGED });
      left.push(entry);
    } else {
      operations.push({ kind: "remove", path });
    }
  }
  return { operations, kept, entries: left };
}

function place(item: Item, state: InstallState): InstallPlan {
  const { path } = item;
  const there = state.found.get(path) ?? ABSENT;
  const before = state.entries.find((entry) => entry.path === path);
  if (item.kind === "folder") {
    return {
      operations: there.kind === "absent" ? [item] : [],
      kept: [],
      entries: [],
    };
  }
  const entry = entryOf(item);
  const isChanged = before !== undefined && there.kind !== "absent" &&
    !isAsInstalled(before, there);
  // What an operator has edited stays known as edited, whatever is added to it.
  const entries = [
    isChanged && item.kind === "text" && item.isOurs ? before : entry,
  ];
  if (isAsInstalled(entry, there)) {
    return { operations: mendMode(item, there), kept: [], entries };
  }
  const isForeign = there.kind !== "absent" && (isChanged || !before);
  if (there.kind === "folder" || isForeign && !item.isOurs && !state.force) {
    const why = there.kind === "folder" ? FOLDER : before ? CHANGED : FOREIGN;
    return {
      operations: [],
      kept: [{ path, why }],
      entries: before ? [before] : [],
    };
  }
  return { operations: [operationOf(item)], kept: [], entries };
}

function operationOf(item: Exclude<Item, { kind: "folder" }>): FileOperation {
  const { kind, path } = item;
  return kind === "link"
    ? { kind, path, target: item.target }
    : { kind, path, mode: item.mode, source: item.source };
}

function entryOf(item: Exclude<Item, { kind: "folder" }>): Entry {
  return item.kind === "link"
    ? { path: item.path, target: item.target }
    : { path: item.path, sha256: item.digest };
}

function mendMode(item: Item, there: Found): FileOperation[] {
  return item.kind !== "link" && there.kind === "file" &&
      there.mode !== item.mode
    ? [{ kind: "mode", path: item.path, mode: item.mode }]
    : [];
}

function isAsInstalled(entry: Entry, there: Found): boolean {
  return "target" in entry
    ? there.kind === "link" && there.target === entry.target
    : there.kind === "file" && there.digest === entry.sha256;
}
