import assert from "node:assert/strict";
import type { Writes } from "../../src/agent/batch.ts";
import { Ledger, type LedgerModel } from "../../src/agent/ledger.ts";
import { openDenoKv } from "../../src/store/deno_kv.ts";
import type { JsonValue, Store } from "../../src/store/store.ts";

/** A list of names; one of them asks for an entry that is never there. */
class NamesModel implements LedgerModel<Set<string>, string> {
  readonly guard = ["guard"];

  guardValue(names: Set<string>): JsonValue {
    return [...names];
  }

  writes(_names: Set<string>, name: string): Writes {
    return {
      puts: [{ key: ["name", name], value: true }],
      ...(name === "never" && {
        checks: [{ key: ["missing"], version: "00000000000000010000" }],
      }),
    };
  }

  apply(names: Set<string>, name: string): void {
    names.add(name);
  }

  async load(store: Store) {
    const guard = await store.get(this.guard);
    const names = new Set(guard?.value as string[] | undefined);
    return { state: names, version: guard?.version ?? null };
  }
}

Deno.test("Ledger.submit() fails a request that conflicts for good alone, not those beside it", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const ledger = new Ledger(new NamesModel(), { store, now: () => 0 });
  const submit = (name: string) =>
    ledger.submit(() => ({ kind: "planned", answer: name, changes: [name] }));
  const names = ["a", "never", "b", "c"];
  const results = await Promise.allSettled(names.map(submit));
  assert.deepEqual(
    results.map((r) => r.status === "fulfilled" ? r.value : r.reason.code),
    [
      "a",
      "unavailable",
      "b",
      "c",
    ],
  );
  assert.deepEqual(await ledger.read((state) => [...state]), ["a", "b", "c"]);
  await store.close();
});
