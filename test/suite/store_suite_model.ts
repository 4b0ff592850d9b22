import assert from "node:assert/strict";
import fc from "fast-check";
import type {
  Entry,
  JsonValue,
  Key,
  Store,
  Version,
} from "../../src/store/store.ts";
import { TRICKY_KEYS } from "./store_suite_list.ts";
import { byKey, collect, type StoreTest } from "./store_suite_support.ts";

interface Step {
  readonly checks: readonly { key: Key; expects: "now" | "earlier" | "none" }[];
  readonly writes: readonly { key: Key; value: JsonValue }[];
}

const key = fc.constantFrom(...TRICKY_KEYS);
const step: fc.Arbitrary<Step> = fc.record({
  checks: fc.array(
    fc.record({
      key,
      // Mostly right, so that most commits are carried out.
      expects: fc.constantFrom("now", "now", "now", "now", "earlier", "none"),
    }),
    { maxLength: 2 },
  ) as fc.Arbitrary<Step["checks"]>,
  // A null stands for a deletion.
  writes: fc.uniqueArray(
    fc.record({ key, value: fc.oneof(fc.constant(null), fc.jsonValue()) }),
    { maxLength: 5, selector: (write) => JSON.stringify(write.key) },
  ) as fc.Arbitrary<Step["writes"]>,
});
const listing = fc.record({
  prefix: fc.oneof(fc.constant([]), key),
  limit: fc.integer({ min: 0, max: 12 }),
  reverse: fc.boolean(),
  after: fc.option(key, { nil: undefined }),
});

export function testStoreModel(test: StoreTest): void {
  test("a store behaves as a map does", async (store) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 20 }),
        fc.array(listing, { minLength: 3, maxLength: 6 }),
        async (steps, listings) => {
          const model = new Model();
          await removeAll(store);
          for (const step of steps) await model.run(store, step);
          assert.deepEqual(await collect(store.list([])), model.list([]));
          for (const { prefix, after, ...options } of listings) {
            const where = after === undefined ? options : { ...options, after };
            assert.deepEqual(
              await collect(store.list(prefix, where)),
              model.list(prefix, where),
            );
          }
        },
      ),
      { numRuns: 100 },
    );
  });
}

async function removeAll(store: Store): Promise<void> {
  const deletes = (await collect(store.list([]))).map((entry) => entry.key);
  assert.ok((await store.commit({ deletes })).committed);
}

class Model {
  readonly #entries = new Map<string, Entry>();
  readonly #earlier = new Map<string, Version>();

  async run(store: Store, { checks, writes }: Step): Promise<void> {
    const holds = checks.map(({ key, expects }) => {
      const now = this.#entries.get(JSON.stringify(key))?.version ?? null;
      const earlier = this.#earlier.get(JSON.stringify(key)) ?? null;
      const version = { now, earlier, none: null }[expects];
      return { key, version, met: version === now };
    });
    const deletes = writes.filter((write) => write.value === null);
    const result = await store.commit({
      checks: holds.map(({ key, version }) => ({ key, version })),
      puts: writes.filter((write) => write.value !== null),
      deletes: deletes.map((write) => write.key),
    });
    assert.equal(result.committed, holds.every((check) => check.met));
    if (!result.committed) return;
    for (const { key, value } of writes) {
      const text = JSON.stringify(key);
      const before = this.#entries.get(text);
      if (before) this.#earlier.set(text, before.version);
      this.#entries.delete(text);
      if (value === null) continue;
      const stored = JSON.parse(JSON.stringify(value));
      this.#entries.set(text, { key, value: stored, version: result.version });
    }
  }

  list(
    prefix: Key,
    { limit = Infinity, reverse = false, after }: {
      limit?: number;
      reverse?: boolean;
      after?: Key;
    } = {},
  ): Entry[] {
    const sign = reverse ? -1 : 1;
    return [...this.#entries.values()]
      .filter(({ key }) =>
        key.length > prefix.length && prefix.every((part, i) => part === key[i])
      )
      .filter(({ key }) => !after || sign * byKey(key, after) > 0)
      .sort((a, b) => sign * byKey(a.key, b.key))
      .slice(0, limit);
  }
}
