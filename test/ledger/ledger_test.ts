import assert from "node:assert/strict";
import {
  type LedgerModel,
  readForeignCommits,
  type Writes,
} from "../../src/ledger/model.ts";
import { Ledger } from "../../src/ledger/ledger.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Change, JsonValue, Store } from "../../src/store/store.ts";
import { waitFor } from "../support/wait_for.ts";

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

/** The commits of names. */
function read(changes: readonly Change[]) {
  return readForeignCommits(
    ["guard"],
    changes,
    ({ key: [kind, name] }) => kind === "name" ? String(name) : undefined,
  );
}

/** Follows what is written to a store, on behalf of a ledger. */
async function follow(
  ledger: Ledger<Set<string>, string>,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  for await (const event of store.watch([], { signal })) {
    const commits = event.kind === "changes" ? read(event.changes) : undefined;
    for (const commit of commits ?? [undefined]) ledger.takeIn(commit);
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

/** A store of two ledgers, and what was written to it, told only when it is asked for. */
async function openTold() {
  const store = await openDenoKv({ path: ":memory:" });
  const end = new AbortController();
  const changes: Change[] = [];
  const snapshot = Promise.withResolvers<void>();
  const running = (async () => {
    for await (const event of store.watch([], { signal: end.signal })) {
      if (event.kind === "changes") changes.push(...event.changes);
      else snapshot.resolve();
    }
  })();
  await snapshot.promise;
  return {
    store,
    ledgerOf: (model: NamesModel) =>
      new Ledger(model, { store, now: () => 0, isShared: true }),
    /** What was written since, as one event. */
    told: async (count: number) => {
      await waitFor("it to be told", () => changes.length >= count);
      return changes.splice(0);
    },
    [Symbol.asyncDispose]: async () => {
      end.abort();
      await running;
      await store.close();
    },
  };
}

function add(ledger: Ledger<Set<string>, string>, name: string): Promise<void> {
  return ledger.submit(() => ({
    ...{ kind: "planned", answer: undefined, changes: [name] },
  }));
}

Deno.test("readForeignCommits() tells the commits of one event apart, and tells of one without a guard", async () => {
  await using both = await openTold();
  const ledger = both.ledgerOf(new NamesModel());
  await add(ledger, "a");
  await add(ledger, "b");
  const changes = await both.told(4);
  const commits = read(changes);
  assert.deepEqual(commits?.map((commit) => commit.changes), [["a"], ["b"]]);
  assert.deepEqual(
    commits?.map(({ version }) => version),
    [...new Set(changes.map(({ version }) => version))],
  );
  assert.equal(
    read(changes.filter(({ key: [kind] }) => kind === "name")),
    undefined,
  );
});

Deno.test("Ledger.takeIn() takes in what others wrote, told in one event with its own", async () => {
  await using both = await openTold();
  const [a, b] = [new NamesModel(), new NamesModel()].map(both.ledgerOf);
  a!.takeIn(undefined);
  await add(a!, "own");
  await add(b!, "other");
  for (const commit of read(await both.told(4))!) a!.takeIn(commit);
  await add(b!, "last");
  for (const commit of read(await both.told(2))!) a!.takeIn(commit);
  assert.deepEqual(await a!.read((names) => [...names].sort()), [
    ...["last", "other", "own"],
  ]);
});

/** Names that are read, and given out when told. */
class SlowModel extends NamesModel {
  readonly reads: (() => void)[] = [];

  override async load(store: Store) {
    const loaded = await super.load(store);
    await new Promise<void>((resolve) => this.reads.push(resolve));
    return loaded;
  }
}

for (
  const [what, tell] of [
    ["a commit", (changes: readonly Change[]) => read(changes)!],
    ["a gap", () => [undefined]],
  ] as const
) {
  Deno.test(`Ledger.takeIn() loses nothing when ${what} is told while the state is read`, async () => {
    await using both = await openTold();
    const model = new SlowModel();
    const a = both.ledgerOf(model);
    const b = both.ledgerOf(new NamesModel());
    a.takeIn(undefined);
    await add(b, "first");
    await both.told(2);
    const reading = a.read((names) => [...names].sort());
    await waitFor("a read", () => model.reads.length === 1);
    // It has read the first; that it is the last is checked, and told late.
    both.store.get = (
      (get) => async (...key: Parameters<Store["get"]>) => {
        const entry = await get(...key);
        both.store.get = get;
        await add(b, "second");
        for (const commit of tell(await both.told(2))) a.takeIn(commit);
        return entry;
      }
    )(both.store.get.bind(both.store));
    model.reads[0]!();
    await reading;
    await add(b, "third");
    for (const commit of read(await both.told(2))!) a.takeIn(commit);
    const looking = a.read((names) => [...names].sort());
    const free = setInterval(() => model.reads.forEach((go) => go()), 5);
    assert.deepEqual(await looking, ["first", "second", "third"]);
    clearInterval(free);
  });
}
