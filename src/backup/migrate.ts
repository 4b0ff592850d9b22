import { NetError } from "../base/error.ts";
import type { Commit, Version } from "../store/store.ts";
import { REVISION_KEY } from "../state/cluster_records.ts";
import { ClusterSnapshot } from "../member/snapshot.ts";
import { ClusterView } from "../registry/feed.ts";
import type {
  MigrationProgress,
  MigrationSummary,
  RegistrySize,
} from "./port.ts";
import {
  type Inspection,
  inspectMigration,
  MARK_CHECKS,
  type MigrationStores,
  readStoredRegistry,
  type StoredRegistry,
} from "./migration_checks.ts";
import {
  MIGRATING_KEY,
  MOVED_KEY,
  type MovedMark,
} from "../state/migration_marks.ts";
import { copyParts, findDifference, measureParts } from "./migration_copy.ts";
import { migrateState } from "../state/schema.ts";

/** Options of {@linkcode migrateRegistry}. */
export interface MigrateOptions extends MigrationStores {
  /** Checks, and writes nothing. */
  readonly dryRun: boolean;
  /** Makes a random id. */
  readonly randomId: () => string;
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** Most attempts to mark a registry that others change meanwhile. */
const MAX_CONFLICTS = 8;
/** Most copies: commits that were in flight when the registry was frozen may arrive late. */
const MAX_COPIES = 3;

/**
 * Moves a registry from one store to another. Each agent's own addresses stay in
 * its own state.
 *
 * From the first write to the last, marks in both stores keep agents from using
 * either as the registry. When an error ends the copying, the source may be used
 * again. After a crash, the next run resumes: the marks of both stores have the
 * same id. Once every entry was verified in the target, the source is marked as
 * left for good, and only then the target may be used.
 *
 * @throws {NetError} as `inspectMigration` and the stores do
 */
export async function migrateRegistry(
  options: MigrateOptions,
): Promise<MigrationSummary> {
  const { source, target, dryRun } = options;
  const found = await inspectMigration(options);
  const summary = (size: RegistrySize) => ({
    from: source.url,
    to: target.url,
    clusterId: found.config.clusterId,
    isResumed: found.isResumed,
    ...size,
  });
  if (dryRun) return summary(await measureParts(source, found.parts));
  await migrateState(source);
  await migrateState(target);
  return summary(await new Migration(options).run());
}

class Migration {
  readonly #options: MigrateOptions;
  /** The id of this attempt, or of the one that it resumes. */
  #id: string;

  constructor(options: MigrateOptions) {
    this.#options = options;
    this.#id = options.randomId();
  }

  async run(): Promise<RegistrySize> {
    const { source, onProgress = () => {} } = this.#options;
    try {
      await this.#freeze();
      onProgress({ kind: "frozen" });
      // Others may have changed it before it was frozen.
      const found = await inspectMigration(this.#options);
      const size = await measureParts(source, found.parts);
      const version = await this.#begin(found);
      await this.#copy(found, { total: size.entries, version });
      onProgress({ kind: "verified" });
      await keepSnapshot(found.source, found.config);
      await this.#leave();
      await this.#finish(found.source);
      return size;
    } catch (error) {
      throw await this.#giveUp(error);
    }
  }

  /** Marks the source: from now on nothing in it changes. */
  async #freeze(): Promise<void> {
    const { source, target } = this.#options;
    await this.#retry(async () => {
      const found = await inspectMigration(this.#options);
      if (found.isResumed) {
        this.#id = found.source.moved!.id;
        return true;
      }
      return await commitMarks(found.source, {
        puts: [this.#movedPut({ to: target.url, isComplete: false })],
      });
    }, source.url);
  }

  /** Marks the target, and returns the version of its mark. */
  async #begin(found: Inspection): Promise<Version> {
    const { source, target } = this.#options;
    if (!found.isResumed) {
      const value = {
        id: this.#id,
        from: source.url,
        clusterId: found.config.clusterId,
      };
      const isBegun = await commitMarks(found.target, {
        puts: [{ key: MIGRATING_KEY, value }],
        deletes: [MOVED_KEY],
      });
      if (!isBegun) throw disturbed(target.url);
    }
    const mark = await readStoredRegistry(target);
    if (mark.migrating?.id !== this.#id) throw disturbed(target.url);
    return mark.versionOf(MIGRATING_KEY)!;
  }

  async #copy(
    { parts }: Inspection,
    { total, version }: { readonly total: number; readonly version: Version },
  ): Promise<void> {
    const { target, onProgress = () => {} } = this.#options;
    const checks = [{ key: MIGRATING_KEY, version }];
    let entries = 0;
    const commit = async (writes: Commit) => {
      const { committed } = await target.commit({ ...writes, checks });
      if (!committed) throw disturbed(target.url);
    };
    const onWritten = (count: number) => {
      entries += count;
      onProgress({ kind: "copied", entries, total });
    };
    for (let copies = 0; copies < MAX_COPIES; copies++) {
      await copyParts(this.#options, parts, { commit, onWritten });
      if (!await findDifference(this.#options, parts)) return;
    }
    const key = await findDifference(this.#options, parts);
    if (!key) return;
    throw new NetError(
      "unavailable",
      `Cannot move the registry: ${
        JSON.stringify(key)
      } keeps differing between the stores; something else writes to one of them`,
    );
  }

  /** Marks the source as left for good. */
  async #leave(): Promise<void> {
    const { source, target } = this.#options;
    const found = await readStoredRegistry(source);
    const isOurs = found.moved?.id === this.#id;
    const isLeft = isOurs && await commitMarks(found, {
      puts: [this.#movedPut({ to: target.url, isComplete: true })],
    });
    if (!isLeft) throw disturbed(source.url);
  }

  /** Takes the mark off the target. */
  async #finish({ revision }: StoredRegistry): Promise<void> {
    const { target } = this.#options;
    const found = await readStoredRegistry(target);
    const isOurs = found.migrating?.id === this.#id;
    const isDone = isOurs && await commitMarks(
      { ...found, revision },
      { deletes: [MIGRATING_KEY] },
    );
    if (!isDone) throw disturbed(target.url);
  }

  /** Frees the source if that is safe, and returns an error that says whether it did. */
  async #giveUp(cause: unknown): Promise<unknown> {
    if (!(cause instanceof NetError)) return cause;
    const { source } = this.#options;
    let isFree = false;
    try {
      await this.#retry(async () => {
        const found = await readStoredRegistry(source);
        const { moved } = found;
        isFree = !moved;
        if (moved && (moved.id !== this.#id || moved.isComplete)) return true;
        // Also without a mark: a mark that is still in flight then fails.
        isFree = await commitMarks(found, { deletes: moved && [MOVED_KEY] });
        return isFree;
      }, source.url);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
    }
    const { code, message } = cause;
    const now = isFree
      ? `the registry in ${source.url} can be used as before`
      : `the registry in ${source.url} is not used until the same command has been run to its end`;
    return new NetError(code, `${message}; ${now}`, { cause });
  }

  #movedPut(mark: Omit<MovedMark, "id">) {
    return { key: MOVED_KEY, value: { id: this.#id, ...mark } };
  }

  /** Repeats an attempt that failed because others have changed the registry. */
  async #retry(attempt: () => Promise<boolean>, url: string): Promise<void> {
    for (let i = 0; i < MAX_CONFLICTS; i++) {
      if (await attempt()) return;
    }
    throw disturbed(url);
  }
}

/**
 * Changes the marks of a registry together with its revision, so that the
 * commits of agents that have not seen the marks are refused.
 *
 * @returns false when others have changed the registry
 */
async function commitMarks(
  registry: StoredRegistry,
  { puts = [], deletes = [] }: {
    readonly puts?: Commit["puts"];
    readonly deletes?: Commit["deletes"];
  },
): Promise<boolean> {
  const { store, versionOf, revision } = registry;
  const { committed } = await store.commit({
    checks: MARK_CHECKS.map((key) => ({ key, version: versionOf(key) })),
    puts: [...puts, { key: REVISION_KEY, value: revision }],
    deletes,
  });
  return committed;
}

/**
 * Saves a snapshot of the cluster for the agent that hosted the registry alone:
 * it starts with its cluster and its routes even if the new store is out of
 * reach.
 */
async function keepSnapshot(
  { store, instanceId, nodes, routes }: StoredRegistry,
  config: Inspection["config"],
): Promise<void> {
  if (instanceId === undefined) return;
  const view = new ClusterView();
  const snapshot = await ClusterSnapshot.load(store, view);
  view.apply({
    revision: 0,
    isSnapshot: true,
    nodes: nodes.map((node) => ({
      ...node,
      state: node.instanceId === "" ? "no agent" : "unreachable",
      seenAtMs: undefined,
    })),
    routes,
    removedNodes: [],
    removedRoutes: [],
  });
  await snapshot.save(view);
  await snapshot.saveConfig(config);
}

function disturbed(url: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot move the registry: others keep changing what is in ${url}; ` +
      "see that no other migration runs, and try again",
  );
}
