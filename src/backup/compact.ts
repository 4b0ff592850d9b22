import { pruneHistory } from "../addresses/history.ts";
import { Batch } from "../ledger/model.ts";
import type { Store } from "../store/store.ts";
import type { CompactSummary } from "./port.ts";

/**
 * Copies all entries of a state to an empty store.
 *
 * @param options `historySinceMs`: older records of the history are removed
 * from the state first; undefined: none is removed
 */
export async function copyState(
  from: Store,
  to: Store,
  options: { readonly historySinceMs: number | undefined },
): Promise<Pick<CompactSummary, "entries" | "removed">> {
  const { historySinceMs } = options;
  const removed = historySinceMs === undefined
    ? 0
    : await pruneHistory({ node: "", store: from }, historySinceMs);
  let entries = 0;
  let batch = new Batch(to.limits);
  for await (const { key, value } of from.list([])) {
    entries++;
    batch.add({ puts: [{ key, value }] });
    if (!batch.isFull) continue;
    await to.commit(batch.commit());
    batch = new Batch(to.limits);
  }
  if (!batch.isEmpty) await to.commit(batch.commit());
  return { entries, removed };
}
