import assert from "node:assert/strict";
import type { Writes } from "../../src/agent/batch.ts";
import { Ledger } from "../../src/agent/ledger.ts";
import {
  type LedgerModel,
  readForeignCommit,
} from "../../src/agent/ledger_state.ts";
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

/** Follows what is written to a store, on behalf of a ledger. */
async function follow(
  ledger: Ledger<Set<string>, string>,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  for await (const event of store.watch([], { signal })) {
    ledger.takeIn(
      event.kind === "snapshot" ? undefined : readForeignCommit(
        ["guard"],
        event.changes,
        ({ key: [kind, name] }) => kind === "name" ? String(name) : undefined,
      ),
    );
  }
}

for (const isFollowed of [false, true]) {
  Deno.test(`Ledgers of one store ${isFollowed ? "that follow it " : ""}see each other's commits at once, and lose none`, async () => {
    const store = await openDenoKv({ path: ":memory:" });
    const end = new AbortController();
    const told: string[][] = [[], [], []];
    const ledgers = told.map((names) =>
      new Ledger(new NamesModel(), {
        store,
        now: () => 0,
        isShared: true,
        onCommitted: (changes) => names.push(...changes),
      })
    );
    const following = isFollowed
      ? ledgers.map((ledger) => follow(ledger, store, end.signal))
      : [];
    const all: string[] = [];
    for (let round = 0; round < 20; round++) {
      const names = ledgers.map((_, i) => `${round}-${i}`);
      await Promise.all(
        ledgers.map((ledger, i) =>
          ledger.submit(() => ({
            kind: "planned",
            answer: undefined,
            changes: [names[i]!],
          }))
        ),
      );
      all.push(...names);
      for (const ledger of ledgers) {
        const seen = await ledger.read((state) => [...state]);
        assert.deepEqual(seen.sort(), [...all].sort());
      }
    }
    end.abort();
    await Promise.all(following);
    const expected = [0, 1, 2].map((i) =>
      isFollowed ? all : all.filter((name) => name.endsWith(`-${i}`))
    );
    assert.deepEqual(
      told.map((names) => [...new Set(names)].sort()),
      expected.map((names) => [...names].sort()),
    );
    await store.close();
  });
}
