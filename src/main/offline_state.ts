import { resolve } from "node:path";
import { copyState } from "../backup/compact.ts";
import { readBackup } from "../backup/format/read.ts";
import { migrateRegistry } from "../backup/migrate.ts";
import type {
  AcceptRequest,
  CompactRequest,
  CompactSummary,
  MigrationRequest,
  MigrationSummary,
  RebuildRequest,
  RebuildSummary,
  RestoreRequest,
  RestoreSummary,
} from "../backup/port.ts";
import {
  readReport,
  rebuildRegistry,
  rebuildWithoutState,
} from "../backup/rebuild.ts";
import type { MemberReport } from "../backup/rebuild_plan.ts";
import { restoreState } from "../backup/restore.ts";
import { signFile, verifyFile } from "../security/file_signature.ts";
import { DenoIdentityFiles } from "../security/files/deno_identity_files.ts";
import { acceptMachine } from "../state/machine.ts";
import { openDenoKv } from "../store/deno_kv/deno_kv.ts";
import {
  hasState,
  NewStateFile,
  openStateFile,
  rewriteStateFile,
} from "../store/deno_kv/state_file.ts";
import type { Store } from "../store/store.ts";
import { DenoWholeFiles } from "../system/deno_whole_files.ts";
import { makeStateDir } from "../system/state_dir.ts";
import { readThisMachine } from "./machine.ts";
import { openRegistryStore } from "./agent_state.ts";

// The commands that work on the state of a stopped agent.

/** Restores a state from a backup. */
export async function restore(
  request: RestoreRequest,
): Promise<RestoreSummary> {
  const files = new DenoWholeFiles();
  const stateDir = resolve(request.stateDir);
  if (!request.dryRun) makeStateDir(stateDir);
  return await restoreState({
    ...request,
    read: () => readBackup(files.read(request.file)),
    state: new NewStateFile(`${stateDir}/state.db`),
    answers,
  });
}

/** Time for an agent to take a connection, in ms. */
const ANSWER_TIMEOUT_MS = 3_000;

/** Whether anything takes connections at the URL of an agent's API. */
async function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  try {
    using _ = await Deno.connect({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    return true;
  } catch {
    return false;
  }
}

/** Makes this machine that of the state of a stopped agent. */
export async function accept({ stateDir }: AcceptRequest): Promise<void> {
  const path = `${resolve(stateDir)}/state.db`;
  const store = await openStateFile(path, { missing: "refused" });
  try {
    await acceptMachine(store, { machine: await readThisMachine() });
  } finally {
    await store.close();
  }
}

/** Signs a file with the identity in a folder, into FILE.sig. */
export async function signFileWith(file: string, dir: string): Promise<void> {
  const files = new DenoWholeFiles();
  const text = await signFile(files.read(file), new DenoIdentityFiles(dir));
  await files.write(`${file}.sig`, pieces(text));
}

/** Verifies FILE.sig with the identity in a folder. Returns the signer: `node host1`. */
export async function verifyFileWith(
  file: string,
  dir: string,
): Promise<string> {
  const files = new DenoWholeFiles();
  const parts = await Array.fromAsync(files.read(`${file}.sig`));
  const text = parts.map((part) => new TextDecoder().decode(part)).join("");
  const { role, name } = await verifyFile(files.read(file), {
    text,
    identity: new DenoIdentityFiles(dir),
  });
  return `${role} ${name}`;
}

async function* pieces(text: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield await Promise.resolve(new TextEncoder().encode(text));
}

/** Moves a registry to another store. */
export async function migrate(
  { from, to, ...options }: MigrationRequest,
): Promise<MigrationSummary> {
  const stateDir = resolve(options.stateDir);
  const path = `${stateDir}/state.db`;
  if (to === "file" && !options.dryRun) makeStateDir(stateDir);
  await using stores = new AsyncDisposableStack();
  const keep = (store: Store) => stores.adopt(store, () => store.close());
  const summary = await migrateRegistry({
    ...options,
    source: keep(
      await openRegistryStore({ store: from }) ??
        await openStateFile(path, { missing: "refused" }),
    ),
    target: keep(
      await openRegistryStore({ store: to }) ??
        await openStateFile(path, {
          missing: options.dryRun ? "imagined" : "made",
        }),
    ),
    randomId: () => crypto.randomUUID(),
  });
  return to === "file" ? { ...summary, to: `kv:${path}` } : summary;
}

/** Gives the free space of the state file of a stopped agent back. */
export async function compact(
  { stateDir, keepHistoryMs }: CompactRequest,
): Promise<CompactSummary> {
  const file = `${resolve(stateDir)}/state.db`;
  const historySinceMs = keepHistoryMs === undefined
    ? undefined
    : Date.now() - keepHistoryMs;
  const { result, ...sizes } = await rewriteStateFile(
    file,
    (from, to) => copyState(from, to, { historySinceMs }),
  );
  return { file, ...sizes, ...result };
}

/** Rebuilds a lost registry, in the state of a stopped member, a new one or etcd. */
export async function rebuild(
  request: RebuildRequest,
): Promise<RebuildSummary> {
  const { settleMs, dryRun } = request;
  const stateDir = resolve(request.stateDir);
  const path = `${stateDir}/state.db`;
  const reports: MemberReport[] = [];
  for (const file of request.reports) reports.push(await reportIn(file));
  const options = { reports, settleMs, dryRun, now: Date.now };
  await using stores = new AsyncDisposableStack();
  const keep = (store: Store) => stores.adopt(store, () => store.close());
  const shared = await openRegistryStore(request);
  const target = shared && keep(shared);
  if (reports.length === 0 || await hasState(path)) {
    const store = keep(await openStateFile(path, { missing: "refused" }));
    const summary = await rebuildRegistry({
      ...{ store, ...options },
      ...target && { target },
    });
    if (!dryRun) await moveIdentity(stateDir);
    return summary;
  }
  if (target) return await rebuildWithoutState({ target, ...options });
  const imagined = keep(await openDenoKv({ path: ":memory:" }));
  const planned = await rebuildWithoutState({
    ...{ ...options, target: imagined, dryRun: true },
  });
  const summary = { ...planned, store: `kv:${path}` };
  if (dryRun) return summary;
  makeStateDir(stateDir);
  await new NewStateFile(path).create(async (target) => {
    await rebuildWithoutState({ target, ...options });
  });
  return summary;
}

/** Reads a member's backup as its report. */
async function reportIn(file: string): Promise<MemberReport> {
  const scratch = await openDenoKv({ path: ":memory:" });
  try {
    const parts = readBackup(new DenoWholeFiles().read(file));
    return await readReport(parts, { file, scratch });
  } finally {
    await scratch.close();
  }
}

/** The certificate is of the authority that was lost: the registry signs a new one. */
async function moveIdentity(stateDir: string): Promise<void> {
  const folder = `${stateDir}/identity`;
  try {
    await Deno.rename(folder, `${folder}.lost`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
