import {
  ABSENT,
  type FileOperation,
  type Found,
  type Item,
  type Kept,
} from "./item.ts";
import type { Entry } from "./manifest.ts";

/** The state of a host before an installation or removal. */
export interface InstallState {
  /** By path; a path that is missing is absent. */
  readonly found: ReadonlyMap<string, Found>;
  /** The entries of the last installation. */
  readonly entries: readonly Entry[];
  /** Whether to replace files that an operator changed. */
  readonly force: boolean;
}

/** The operations, the paths that stay, and the entries after that. */
export interface InstallPlan {
  readonly operations: readonly FileOperation[];
  readonly kept: readonly Kept[];
  readonly entries: readonly Entry[];
}

const CHANGED = "it was changed since it was installed";
const FOREIGN = "it exists, and this program did not install it";
const FOLDER = "it is a folder";

/**
 * Plans to put all items in place, and to remove those that only the earlier
 * installation had. Files that others changed stay; correct files are not touched.
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

/** Plans to remove the installed entries. Files that others changed stay, and count as installed. */
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
  // A file that an operator edited still counts as edited after an update.
  const entries = [
    isChanged && item.kind === "text" && item.isOurs ? before : entry,
  ];
  if (isAsInstalled(entry, there)) {
    return { operations: fixMode(item, there), kept: [], entries };
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
  const { path } = item;
  switch (item.kind) {
    case "link":
      return { kind: item.kind, path, target: item.target };
    case "text":
      return { kind: item.kind, path, mode: item.mode, source: item.source };
    case "program":
      return { kind: item.kind, path, mode: item.mode, source: item.source };
  }
}

function entryOf(item: Exclude<Item, { kind: "folder" }>): Entry {
  return item.kind === "link"
    ? { path: item.path, target: item.target }
    : { path: item.path, sha256: item.digest };
}

function fixMode(item: Item, there: Found): FileOperation[] {
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
