import { NetError } from "../base/error.ts";
import type {
  AuthorityOptions,
  AuthorityRecord,
  TrustRecord,
} from "./pki/authority.ts";
import { BACKDATE_MS } from "./pki/profile.ts";
import {
  type AuthorityChange,
  planRetirement,
  planRotation,
  publicPart,
} from "./pki/generations.ts";
import { endedRevocations } from "./pki/revocation.ts";
import { forgottenTokens } from "./pki/token_record.ts";
import type { Key, Store } from "../store/store.ts";
import type { Lifetimes } from "./certificates.ts";
import {
  authorityKey,
  issuedKey,
  type Put,
  putRecord,
  readAuthorities,
  readExpiredHolders,
  readIssued,
  readRevocations,
  readTokens,
  revocationKey,
  tokenKey,
} from "../state/identity_records.ts";
import type { PlannedWrites } from "./transaction.ts";

/** How the next authority takes over. */
export interface RotateOptions {
  /**
   * How long hosts are told of it before it signs, in ms. Default: 30 days, so that
   * none that was off for so long misses it.
   */
  readonly announceMs?: number;
  /** How long what the one before signed is accepted after that, in ms. Default: as long as certificates last, and a day. */
  readonly overlapMs?: number;
  /**
   * Somebody else may have the key: what was signed so far is trusted no
   * longer, at once. Then there is nothing to announce, and no overlap.
   */
  readonly isCompromised?: boolean;
}

const DAY_MS = 24 * 3600_000;
const DEFAULT_ANNOUNCE_MS = 30 * DAY_MS;
const MAX_ANNOUNCE_MS = 366 * DAY_MS;
const MAX_OVERLAP_MS = 366 * DAY_MS;
/** So much is removed in one commit at most. */
const MAX_REMOVED = 200;

/**
 * Plans the next authority.
 *
 * @throws {NetError} `invalid_argument` naming the field,
 * `failed_precondition` while the rotation before is under way
 */
export async function planNextAuthority(
  { store, clusterId }: { readonly store: Store; readonly clusterId: string },
  options: RotateOptions,
  { nowMs, lifetimes }: {
    readonly nowMs: number;
    readonly lifetimes: Lifetimes;
  },
): Promise<PlannedWrites<TrustRecord>> {
  if (options.isCompromised) {
    return await planReplacement({ store, clusterId }, options, nowMs);
  }
  const longestMs = Math.max(...Object.values(lifetimes));
  const { announceMs = DEFAULT_ANNOUNCE_MS, overlapMs = longestMs + DAY_MS } =
    options;
  checkRange("announce", announceMs, { min: 0, max: MAX_ANNOUNCE_MS });
  checkRange("overlap", overlapMs, { min: longestMs, max: MAX_OVERLAP_MS });
  const records = await readAuthorities(store);
  const next = await makeAuthority({
    clusterId,
    generation: nextGeneration(records),
    nowMs,
    signsFromMs: nowMs + announceMs,
  });
  const plan = planRotation(records, { next, nowMs, overlapMs });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  return { answer: publicPart(plan.answer), ...authorityWrites(plan.changes) };
}

/** Plans an authority in place of all that there are. */
async function planReplacement(
  { store, clusterId }: { readonly store: Store; readonly clusterId: string },
  options: RotateOptions,
  nowMs: number,
): Promise<PlannedWrites<TrustRecord>> {
  for (const field of ["announce", "overlap"] as const) {
    if (options[`${field}Ms`] === undefined) continue;
    throw new NetError(
      "invalid_argument",
      `Cannot replace a compromised authority: field "${field}" is set, and nothing that it signed is trusted any more; leave it out`,
    );
  }
  const records = await readAuthorities(store);
  const next = await makeAuthority({
    clusterId,
    generation: nextGeneration(records),
    nowMs,
  });
  return {
    answer: publicPart(next),
    ...authorityWrites([
      { kind: "put", record: next },
      ...records.map(({ generation }) => ({
        kind: "remove" as const,
        generation,
      })),
    ]),
  };
}

/** Plans the first authority, where there is none. */
export async function planFirstAuthority(
  { store, clusterId }: { readonly store: Store; readonly clusterId: string },
  nowMs: number,
): Promise<PlannedWrites<boolean>> {
  if ((await readAuthorities(store)).length > 0) return { answer: false };
  const record = await makeAuthority({ clusterId, nowMs });
  return {
    answer: true,
    ...authorityWrites([{ kind: "put", record }]),
  };
}

/**
 * Plans what time has brought: keys of authorities that sign no more are given
 * up, and what has ended is forgotten.
 *
 * @returns whether there may be more
 */
export async function planTidying(
  store: Store,
  nowMs: number,
): Promise<PlannedWrites<boolean>> {
  const authorities = authorityWrites(
    // Hosts whose clocks are behind sign with the one before for a while.
    planRetirement(await readAuthorities(store), nowMs - BACKDATE_MS),
  );
  const ended: Key[] = [
    ...endedRevocations(await readRevocations(store), nowMs).map(revocationKey),
    ...forgottenTokens(await readTokens(store), nowMs)
      .map(({ id }) => tokenKey(id)),
    ...(await readIssued(store)).filter((record) => record.notAfterMs <= nowMs)
      .map(issuedKey),
    ...await readExpiredHolders(store, nowMs),
  ];
  return {
    answer: ended.length > MAX_REMOVED,
    puts: authorities.puts,
    deletes: [...authorities.deletes, ...ended.slice(0, MAX_REMOVED)],
  };
}

/** Makes an authority. What that takes is large, and loaded where one is made alone. */
async function makeAuthority(
  options: AuthorityOptions,
): Promise<AuthorityRecord> {
  const { createAuthority } = await import("./pki/authority.ts");
  return createAuthority(options);
}

function nextGeneration(records: readonly TrustRecord[]): number {
  return Math.max(0, ...records.map(({ generation }) => generation)) + 1;
}

function authorityWrites(
  changes: readonly AuthorityChange[],
): { readonly puts: readonly Put[]; readonly deletes: readonly Key[] } {
  return {
    puts: changes.flatMap((change) =>
      change.kind === "put"
        ? putRecord(authorityKey(change.record.generation), change.record)
        : []
    ),
    deletes: changes.flatMap((change) =>
      change.kind === "remove" ? [authorityKey(change.generation)] : []
    ),
  };
}

function checkRange(
  field: "announce" | "overlap",
  ms: number,
  { min, max }: { readonly min: number; readonly max: number },
): void {
  if (ms >= min && ms <= max) return;
  throw new NetError(
    "invalid_argument",
    `Cannot rotate the authority: field "${field}" is ${
      ms / 1000
    } s, and has to be ${min / 1000} s to ${max / 1000} s`,
  );
}
