import type { NetError } from "../base/error.ts";
import type { Planned } from "../base/plan.ts";
import { Ledger } from "../ledger/ledger.ts";
import {
  type ForeignCommit,
  type LedgerModel,
  type Loaded,
  readForeignCommits,
  type Writes,
} from "../ledger/model.ts";
import type { Address } from "../net/address.ts";
import {
  holderKey,
  IDENTITY_PREFIX,
  IDENTITY_REVISION_KEY,
  type IdentityChange,
  type IdentityKind,
  type IdentityTables,
  nameRevocationKey,
  readIdentityEntry,
  tokenKey,
} from "../state/identity_records.ts";
import type {
  Change as StoreChange,
  Check,
  Entry,
  JsonValue,
  Key,
  Store,
  Version,
} from "../store/store.ts";
import type { AuthorityRecord } from "./pki/authority.ts";
import type { IssuedRecord } from "./pki/certificate.ts";
import type { Role } from "./pki/identity.ts";
import type { RevocationRecord } from "./pki/revocation.ts";
import type { EndorsementRecord } from "./pki/signed_trust.ts";
import type { TokenRecord } from "./pki/token_record.ts";

/** The answer of a plan, and the records that it changes. */
export type IdentityPlan<T> = Planned<T, IdentityChange>;

/** Keys that forbid every change while they exist. */
export interface StoreMarks {
  readonly checks: readonly Check[];
  /** The error for such a key. */
  readonly refuse: (entry: Entry) => NetError;
}

/** The ledger of the cluster's authorities, certificates, tokens and revocations. */
export type IdentityLedger = Ledger<IdentityRecords, LedgerChange>;

/** A change of a record, or of the counter by another agent. */
type LedgerChange =
  | IdentityChange
  | { readonly kind: "revision"; readonly revision: number };

type Table<K extends IdentityKind> = Map<
  string,
  { readonly key: Key; readonly record: IdentityTables[K] }
>;

/** The authorities, certificates, tokens and revocations of a cluster, in memory. */
export class IdentityRecords {
  revision = 0;
  readonly #tables: { readonly [K in IdentityKind]: Table<K> } = {
    authority: new Map(),
    revocation: new Map(),
    token: new Map(),
    issued: new Map(),
    holder: new Map(),
    endorsement: new Map(),
  };

  /** The authorities with their keys, the oldest first. */
  get authorities(): AuthorityRecord[] {
    return this.#all("authority").sort((a, b) => a.generation - b.generation);
  }

  get revocations(): RevocationRecord[] {
    return this.#sorted("revocation");
  }

  get endorsements(): EndorsementRecord[] {
    return this.#sorted("endorsement");
  }

  get tokens(): TokenRecord[] {
    return this.#all("token");
  }

  /** The issued certificates. */
  get issued(): IssuedRecord[] {
    return this.#all("issued");
  }

  /** The issued certificates of one name. */
  issuedTo(
    { role, name }: { readonly role: Role; readonly name: string },
  ): IssuedRecord[] {
    return this.issued
      .filter((record) => record.role === role && record.name === name);
  }

  /** The latest certificate for an address, undefined when there is none. */
  holder(address: Address): IssuedRecord | undefined {
    return this.#get("holder", holderKey(address));
  }

  /** A join token, undefined when none has that id. */
  token(id: string): TokenRecord | undefined {
    return this.#get("token", tokenKey(id));
  }

  /** The revocation of a name, undefined when it has none. */
  nameRevocation(
    role: Role,
    name: string,
  ): (RevocationRecord & { readonly kind: "name" }) | undefined {
    const record = this.#get("revocation", nameRevocationKey(role, name));
    return record?.kind === "name" ? record : undefined;
  }

  /** The removals of the holders whose certificate has expired. */
  expiredHolders(nowMs: number): IdentityChange[] {
    return [...this.#tables.holder.values()]
      .filter(({ record }) => record.notAfterMs <= nowMs)
      .map(({ key }) => ({ kind: "holder", key, record: undefined }));
  }

  /** The change that undoes another one, before that is applied. */
  inverse({ kind, key }: IdentityChange): IdentityChange {
    return { kind, key, record: this.#get(kind, key) } as IdentityChange;
  }

  apply({ kind, key, record }: IdentityChange): void {
    const table = this.#tables[kind] as Table<IdentityKind>;
    if (record === undefined) table.delete(JSON.stringify(key));
    else table.set(JSON.stringify(key), { key, record });
  }

  #get<K extends IdentityKind>(
    kind: K,
    key: Key,
  ): IdentityTables[K] | undefined {
    const table: Table<K> = this.#tables[kind];
    return table.get(JSON.stringify(key))?.record;
  }

  /** In the order of their keys, so that all agents sign the same statement. */
  #sorted<K extends IdentityKind>(kind: K): IdentityTables[K][] {
    const table: Table<K> = this.#tables[kind];
    return [...table].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([, { record }]) => record);
  }

  #all<K extends IdentityKind>(kind: K): IdentityTables[K][] {
    const table: Table<K> = this.#tables[kind];
    return [...table.values()].map(({ record }) => record);
  }
}

/** Makes the ledger of the identities in a store, to which other agents may write as well. */
export function createIdentityLedger(
  options: {
    readonly store: Store;
    readonly now: () => number;
    readonly marks?: StoreMarks | undefined;
  },
): IdentityLedger {
  const { store, now, marks } = options;
  return new Ledger(new IdentityModel(marks), { store, now, isShared: true });
}

/** The commits of other agents in the changes of a store; undefined when anything may have changed. */
export function readIdentityCommits(
  changes: readonly StoreChange[],
): ForeignCommit<LedgerChange>[] | undefined {
  return readForeignCommits<LedgerChange>(
    IDENTITY_REVISION_KEY,
    changes,
    (change) =>
      isRevision(change)
        ? { kind: "revision", revision: Number(change.value) }
        : readIdentityEntry(change),
  );
}

/** Keeps the records in memory and in the store. */
class IdentityModel implements LedgerModel<IdentityRecords, LedgerChange> {
  readonly guard = IDENTITY_REVISION_KEY;
  readonly conditions: readonly Check[];
  readonly #marks: StoreMarks | undefined;

  constructor(marks: StoreMarks | undefined) {
    this.conditions = marks?.checks ?? [];
    this.#marks = marks;
  }

  guardValue(state: IdentityRecords): JsonValue {
    return ++state.revision;
  }

  undoGuard(state: IdentityRecords): void {
    state.revision--;
  }

  writes(_state: IdentityRecords, change: LedgerChange): Writes {
    if (change.kind === "revision") return {};
    const { key, record } = change;
    return record === undefined
      ? { deletes: [key] }
      : { puts: [{ key, value: record as unknown as JsonValue }] };
  }

  apply(state: IdentityRecords, change: LedgerChange): void {
    if (change.kind === "revision") state.revision = change.revision;
    else state.apply(change);
  }

  inverse(
    state: IdentityRecords,
    change: LedgerChange,
  ): LedgerChange | undefined {
    return change.kind === "revision" ? undefined : state.inverse(change);
  }

  isNext(state: IdentityRecords, changes: readonly LedgerChange[]): boolean {
    return changes.every((change) =>
      change.kind !== "revision" || change.revision === state.revision + 1
    );
  }

  async load(store: Store): Promise<Loaded<IdentityRecords>> {
    const state = new IdentityRecords();
    let version: Version | null = null;
    for (const { key } of this.conditions) {
      const entry = await store.get(key);
      if (entry) throw this.#marks!.refuse(entry);
    }
    for await (const entry of store.list(IDENTITY_PREFIX)) {
      if (isRevision(entry)) {
        state.revision = Number(entry.value);
        version = entry.version;
        continue;
      }
      const change = readIdentityEntry(entry);
      if (change) state.apply(change);
    }
    return { state, version };
  }
}

function isRevision({ key }: { readonly key: Key }): boolean {
  return JSON.stringify(key) === JSON.stringify(IDENTITY_REVISION_KEY);
}
