import { NetError } from "../base/error.ts";
import type { JsonValue, Key, Store } from "../store/store.ts";

/** Says that a state was restored from a backup, until what contradicts it has had time to show. */
const RESTORED_KEY: Key = ["agent", "restored"];

/** How a state was restored. */
export interface Restored {
  /** When the backup was made, in ms since 1970. */
  readonly takenAtMs: number;
  /** How long after its start a registry waits for those whom the backup does not know. */
  readonly settleMs: number;
}

/** The write that says that a state was restored. */
export function restoredPut(
  restored: Restored,
): { readonly key: Key; readonly value: JsonValue } {
  return { key: RESTORED_KEY, value: { ...restored } };
}

/** Whether a key is that of how a state was restored. */
export function isRestoredKey(key: Key): boolean {
  return key.length === RESTORED_KEY.length &&
    key.every((part, i) => part === RESTORED_KEY[i]);
}

/** Reads how a state was restored; undefined when it was not, or all is settled. */
export async function readRestored(
  store: Store,
): Promise<Restored | undefined> {
  const entry = await store.get(RESTORED_KEY);
  if (!entry) return undefined;
  const { takenAtMs, settleMs } = entry.value as unknown as Restored;
  if (Number.isFinite(takenAtMs) && Number.isFinite(settleMs)) {
    return { takenAtMs, settleMs };
  }
  throw new NetError(
    "failed_precondition",
    `Cannot read ${
      JSON.stringify(RESTORED_KEY)
    } from the store: its value is damaged; restore the state again`,
  );
}

/** Forgets that a state was restored. */
export async function forgetRestored(store: Store): Promise<void> {
  await store.commit({ deletes: [RESTORED_KEY] });
}
