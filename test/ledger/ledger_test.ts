import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import {
  type LedgerModel,
  readForeignCommits,
  type Writes,
} from "../../src/ledger/model.ts";
import { Ledger } from "../../src/ledger/ledger.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Change, JsonValue, Store } from "../../src/store/store.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { collectLogs } from "../support/collect_logs.ts";
import { SteadyClock } from "../support/steady_clock.ts";
import { waitFor } from "../support/wait_for.ts";

/** A list of names; the name "never" needs an entry that does not exist. */
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

Deno.test("Ledger.submit() fails only the request that conflicts for good", async () => {
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

/** A store that answers its first commit once `go` does, and refuses it. */
function slowOnce(store: Store, go: Promise<void>): Store {
  let isFirst = true;
  return {
    url: store.url,
    limits: store.limits,
    get: (key) => store.get(key),
    list: (prefix, options) => store.list(prefix, options),
    watch: (prefix, options) => store.watch(prefix, options),
    close: () => store.close(),
    async commit(commit) {
      if (!isFirst) return await store.commit(commit);
      isFirst = false;
      await go;
      throw new NetError("unavailable", "it does not answer");
    },
  };
}

for (
  const [ms, outcomes] of [
    [1_000, ["unavailable", "unavailable"]],
    [999, ["unavailable", "second"]],
  ] as const
) {
  Deno.test(
    `Ledger.submit() of a shared store that was silent for ${ms} ms refuses ${
      outcomes[1] === "second"
        ? "only the requests that asked it"
        : "also those that wait"
    }`,
    async () => {
      using clock = new SteadyClock();
      const { promise, resolve: answer } = Promise.withResolvers<void>();
      const store = slowOnce(await openDenoKv({ path: ":memory:" }), promise);
      const ledger = new Ledger(new NamesModel(), {
        store,
        now: () => 0,
        isShared: true,
      });
      const submit = (name: string) =>
        ledger.submit(() => ({
          kind: "planned",
          answer: name,
          changes: [name],
        }));
      const first = submit("first");
      // The first of them is on its way before the other comes.
      await new Promise((resolve) => setTimeout(resolve));
      const second = submit("second");
      clock.nowMs += ms;
      answer();
      const results = await Promise.allSettled([first, second]);
      assert.deepEqual(
        results.map((r) => r.status === "fulfilled" ? r.value : r.reason.code),
        outcomes,
      );
      await store.close();
    },
  );
}

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
    for (const commit of commits ?? [undefined]) ledger.receive(commit);
  }
}

for (const isFollowed of [false, true]) {
  Deno.test(`Ledgers of one store ${isFollowed ? "that follow it " : ""}see each other's commits at once and lose none`, async () => {
    const store = await openDenoKv({ path: ":memory:" });
    const end = new AbortController();
    const reported: string[][] = [[], [], []];
    const ledgers = reported.map((names) =>
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
      reported.map((names) => [...new Set(names)].sort()),
      expected.map((names) => [...names].sort()),
    );
    await store.close();
  });
}

/** A store of two ledgers that reports commits only on request. */
async function openReported() {
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
    /** The writes since the last call, as one event. */
    reported: async (count: number) => {
      await waitFor("the report", () => changes.length >= count);
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

Deno.test("readForeignCommits() separates the commits of one event, and finds one without a guard", async () => {
  await using both = await openReported();
  const ledger = both.ledgerOf(new NamesModel());
  await add(ledger, "a");
  await add(ledger, "b");
  const changes = await both.reported(4);
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

Deno.test("Ledger.receive() applies the commits of others that come in one event with its own", async () => {
  await using both = await openReported();
  const [a, b] = [new NamesModel(), new NamesModel()].map(both.ledgerOf);
  a!.receive(undefined);
  await add(a!, "own");
  await add(b!, "other");
  for (const commit of read(await both.reported(4))!) a!.receive(commit);
  await add(b!, "last");
  for (const commit of read(await both.reported(2))!) a!.receive(commit);
  assert.deepEqual(await a!.read((names) => [...names].sort()), [
    ...["last", "other", "own"],
  ]);
});

/** A model whose reads finish on request. */
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
  Deno.test(`Ledger.receive() loses nothing when ${what} arrives during a read`, async () => {
    await using both = await openReported();
    const model = new SlowModel();
    const a = both.ledgerOf(model);
    const b = both.ledgerOf(new NamesModel());
    a.receive(undefined);
    await add(b, "first");
    await both.reported(2);
    const reading = a.read((names) => [...names].sort());
    await waitFor("a read", () => model.reads.length === 1);
    // It has read the first name. The second arrives while it checks the version.
    both.store.get = (
      (get) => async (...key: Parameters<Store["get"]>) => {
        const entry = await get(...key);
        both.store.get = get;
        await add(b, "second");
        for (const commit of tell(await both.reported(2))) a.receive(commit);
        return entry;
      }
    )(both.store.get.bind(both.store));
    model.reads[0]!();
    await reading;
    await add(b, "third");
    for (const commit of read(await both.reported(2))!) a.receive(commit);
    const looking = a.read((names) => [...names].sort());
    const free = setInterval(() => model.reads.forEach((go) => go()), 5);
    assert.deepEqual(await looking, ["first", "second", "third"]);
    clearInterval(free);
  });
}

/** A store whose reads of the guard wait, and count. */
function hold(store: Store): { release(): void; readonly reads: number } {
  const get = store.get.bind(store);
  const held: (() => void)[] = [];
  let reads = 0;
  store.get = async (key) => {
    reads++;
    await new Promise<void>((resolve) => held.push(resolve));
    return await get(key);
  };
  return {
    release: () => held.splice(0).forEach((go) => go()),
    get reads() {
      return reads;
    },
  };
}

Deno.test("Ledger refuses a request when 16,384 others wait", async () => {
  await using both = await openReported();
  const ledger = both.ledgerOf(new NamesModel());
  const held = hold(both.store);
  const first = add(ledger, "a");
  await waitFor("the first request to start", () => held.reads === 1);
  const waiting = Array.from({ length: 16_384 }, () => ledger.read(() => 0));
  await assert.rejects(ledger.read(() => 0), {
    code: "unavailable",
    message: /16384 others are waiting; try again/,
  });
  const free = setInterval(held.release, 1);
  await Promise.all([first, ...waiting]);
  clearInterval(free);
});

Deno.test("Ledger refuses the requests behind one that a shared store kept waiting, but only after a second", async (t) => {
  for (const [name, isSlow] of [["fast", false], ["slow", true]] as const) {
    await t.step(name, async () => {
      await using both = await openReported();
      using clock = new SteadyClock();
      const ledger = both.ledgerOf(new NamesModel());
      await add(ledger, "a");
      const get = both.store.get.bind(both.store);
      let failures = 0;
      const begun = Promise.withResolvers<void>();
      const go = Promise.withResolvers<void>();
      both.store.get = async (key) => {
        if (failures++ > 0) return await get(key);
        begun.resolve();
        await go.promise;
        throw new Error("no answer");
      };
      const first = ledger.read(() => 0);
      await begun.promise;
      const second = ledger.read(() => 0);
      clock.nowMs += isSlow ? 1_000 : 999;
      go.resolve();
      const results = await Promise.allSettled([first, second]);
      assert.deepEqual(results.map(({ status }) => status), [
        "rejected",
        isSlow ? "rejected" : "fulfilled",
      ]);
    });
  }
});

Deno.test("Ledger plans at most 128 requests in one commit", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const ledger = new Ledger(new NamesModel(), { store, now: () => 0 });
  await add(ledger, "first");
  const commit = store.commit.bind(store);
  const sizes: number[] = [];
  store.commit = (writes) => {
    sizes.push(writes.puts!.length - 1);
    return commit(writes);
  };
  await Promise.all(
    Array.from({ length: 300 }, (_, i) => add(ledger, String(i))),
  );
  assert.deepEqual(sizes, [128, 128, 44]);
  await store.close();
});

Deno.test("Ledger waits a quarter of a second for the report of a commit, then reads everything", async () => {
  await using both = await openReported();
  const model = new NamesModel();
  let loads = 0;
  const load = model.load.bind(model);
  model.load = (store) => (loads++, load(store));
  const a = both.ledgerOf(model);
  a.receive(undefined);
  await add(a, "own");
  await both.reported(2);
  await add(both.ledgerOf(new NamesModel()), "other");
  const before = loads;
  const startMs = performance.now();
  assert.deepEqual(await a.read((names) => [...names]), ["own", "other"]);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= 200 && tookMs < 60_000, String(tookMs));
  assert.equal(loads, before + 1);
});

Deno.test("Ledger reads a state that keeps changing five times, not for ever", async () => {
  await using both = await openReported();
  const other = both.ledgerOf(new NamesModel());
  const model = new NamesModel();
  let loads = 0;
  const load = model.load.bind(model);
  model.load = async (store) => {
    const loaded = await load(store);
    await add(other, String(loads++));
    return loaded;
  };
  await both.ledgerOf(model).read(() => 0);
  assert.equal(loads, 5);
});

Deno.test("Ledger logs a problem once, and again when it comes back", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const ledger = new Ledger(new NamesModel(), { store, now: () => 0 });
  const submit = (name: string) =>
    ledger.submit(() => ({ kind: "planned", answer: name, changes: [name] }));
  const lines = await collectLogs(async () => {
    for (const name of ["a", "b", "c"]) {
      store.isDown = name !== "c";
      await submit(name).catch(() => {});
    }
    store.isDown = true;
    await submit("d").catch(() => {});
  });
  assert.deepEqual(lines.map((line) => line.replace(/:.*/, "")), [
    "Cannot read or write the state, refusing 1 requests",
    "Cannot read or write the state, refusing 1 requests",
  ]);
  await store.close();
});

Deno.test("Ledger gives up a request after eight conflicts", async () => {
  await using both = await openReported();
  let commits = 0;
  const commit = both.store.commit.bind(both.store);
  both.store.commit = async (writes) => {
    commits++;
    await commit({ puts: [{ key: ["guard"], value: [] }] });
    return await commit(writes);
  };
  await assert.rejects(add(both.ledgerOf(new NamesModel()), "a"), {
    code: "unavailable",
    message: /others keep writing the same state; try again/,
  });
  assert.equal(commits, 9);
});

Deno.test("Ledger.submit() plans an urgent request before the others that wait", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const ledger = new Ledger(new NamesModel(), { store, now: () => 0 });
  const order: string[] = [];
  const submit = (name: string, isUrgent: boolean) =>
    ledger.submit(
      () => {
        order.push(name);
        return { kind: "planned", answer: name, changes: [] };
      },
      undefined,
      { isUrgent },
    );
  await Promise.all([
    submit("renewal 1", false),
    submit("renewal 2", false),
    submit("operator 1", true),
    submit("operator 2", true),
  ]);
  assert.deepEqual(order, [
    "operator 1",
    "operator 2",
    "renewal 1",
    "renewal 2",
  ]);
  await store.close();
});
