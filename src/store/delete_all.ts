import type { Key, Store } from "./store.ts";

/** Deletes every entry below a prefix, in commits as large as the store allows. */
export async function deleteAll(store: Store, prefix: Key): Promise<void> {
  const limit = Math.floor(store.limits.maxMutations / 2);
  while (true) {
    const deletes: Key[] = [];
    for await (const { key } of store.list(prefix, { limit })) {
      deletes.push(key);
    }
    if (deletes.length === 0) return;
    await store.commit({ deletes });
  }
}
