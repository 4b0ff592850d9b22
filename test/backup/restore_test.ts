import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readState } from "../../src/backup/take.ts";
import { restoreState } from "../../src/backup/restore.ts";
import { SCHEMA_VERSION } from "../../src/state/schema.ts";
import { type BackupPart, readBackup } from "../../src/backup/format/read.ts";
import { writeBackup } from "../../src/backup/format/format.ts";
import { NetError } from "../../src/base/error.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";
import { owner } from "../addresses/plan/pools.ts";
import { contentsOf } from "../support/state_fixture.ts";
import { allocate, startAgent } from "../agent/agents.ts";

const HEADER = {
  schema: SCHEMA_VERSION,
  program: "9.9.9",
  cluster: "c1",
  node: "a",
  instance: "i1",
  takenAt: "2026-01-02T03:04:05.000Z",
};
const MARK = '["agent","restored"]';

interface Target {
  /** What was made. */
  store: Store | undefined;
  checks: number;
}

/** Where a state is restored to in memory. */
function createTarget(target: Target) {
  return {
    path: "memory",
    check() {
      target.checks++;
      return Promise.resolve();
    },
    async create(
      fill: (store: Store) => Promise<void>,
      check: () => Promise<void>,
    ) {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        await check();
        await fill(store);
        target.store = store;
      } catch (error) {
        await store.close();
        throw error;
      }
    },
  };
}

/** A backup of an agent with some history, as bytes. */
async function backUp(header = HEADER): Promise<{
  readonly bytes: Uint8Array;
  readonly contents: Record<string, unknown>;
}> {
  await using started = await startAgent();
  const { agent, store } = started;
  for (let i = 0; i < 700; i++) await allocate(agent, `c${i}`);
  await agent.addresses.release("a", { owner: owner("c5"), reason: "test" });
  const pieces = writeBackup(
    header,
    readState(store, { holdCluster: (run) => agent.host!.hold(run) }),
  );
  const bytes = await new Blob(await Array.fromAsync(pieces)).bytes();
  return { bytes, contents: await contentsOf(store) };
}

async function* partsOf(bytes: Uint8Array): AsyncGenerator<BackupPart> {
  yield* readBackup((async function* () {
    yield bytes;
  })());
}

Deno.test("restoreState() makes the state that was backed up, and says that it did", async () => {
  const { bytes, contents } = await backUp();
  const target: Target = { store: undefined, checks: 0 };
  const summary = await restoreState({
    read: () => partsOf(bytes),
    state: createTarget(target),
    settleMs: 1000,
    dryRun: false,
  });
  assert.deepEqual(summary, {
    header: { stellarNetBackup: 1, ...HEADER },
    entries: Object.keys(contents).length,
    hasRegistry: true,
    nodes: 1,
    held: 699,
    history: 1,
  });
  assert.deepEqual(await contentsOf(target.store!), {
    ...contents,
    // 510 further on than the last that was given.
    '["ip","a","pool"]': {
      subnets: ["172.16.0.0/22"],
      cursors: ["172.16.0.190"],
    },
    [MARK]: { takenAtMs: Date.parse(HEADER.takenAt), settleMs: 1000 },
  });
  await target.store!.close();
});

Deno.test("restoreState() only looks with dryRun", async () => {
  const { bytes } = await backUp();
  const target: Target = { store: undefined, checks: 0 };
  const summary = await restoreState({
    read: () => partsOf(bytes),
    state: createTarget(target),
    settleMs: 1000,
    dryRun: true,
  });
  assert.equal(summary.held, 699);
  assert.deepEqual(target, { store: undefined, checks: 1 });
});

Deno.test("restoreState() writes nothing of a backup that it refuses", async (t) => {
  const { bytes } = await backUp();
  const newer = await backUp({ ...HEADER, schema: SCHEMA_VERSION + 1 });
  const text = new TextDecoder().decode(bytes);
  const encode = (text: string) => new TextEncoder().encode(text);
  const rows: readonly [
    name: string,
    readings: readonly Uint8Array[],
    says: string,
  ][] = [
    ["cut short", [bytes.subarray(0, 5000)], "it is cut short"],
    ["changed", [encode(text.replace("c6", "d6"))], "its checksum is another"],
    [
      "a newer schema",
      [newer.bytes],
      `its state has version ${
        SCHEMA_VERSION + 1
      } of the schema, and this program knows versions up to ${SCHEMA_VERSION}; use the program that made it, version 9.9.9, or a newer one`,
    ],
    ["damaged between", [bytes, bytes.subarray(0, 5000)], "it is cut short"],
  ];
  for (const [name, readings, says] of rows) {
    await t.step(name, async () => {
      const target: Target = { store: undefined, checks: 0 };
      const left = [...readings];
      const restored = restoreState({
        read: () => partsOf(left.shift()!),
        state: createTarget(target),
        settleMs: 1000,
        dryRun: false,
      });
      const error = await restored.then(() => undefined, (error) => error);
      assert.ok(error instanceof NetError, `${error}`);
      assert.equal(error.code, "failed_precondition");
      assert.ok(error.message.includes(says), error.message);
      assert.equal(target.store, undefined);
    });
  }
});

Deno.test("restoreState() refuses a registry where an agent answers at its URL, unless it is forced", async () => {
  const { bytes } = await backUp();
  // The registry's own node with the URL of its API.
  const url = "http://198.18.0.1:9000";
  const text = new TextDecoder().decode(bytes)
    .replace(/("cluster","node","a"\][^\n]*"apiUrl":)""/, `$1"${url}"`);
  const lines = text.trimEnd().split("\n").slice(0, -1);
  const body = lines.map((line) => line + "\n").join("");
  const sha256 = createHash("sha256").update(body).digest("hex");
  const trailer = JSON.stringify({ entries: lines.length - 1, sha256 });
  const changed = new TextEncoder().encode(`${body}${trailer}\n`);
  const asked: string[] = [];
  const restore = (options: { force?: boolean; alive?: boolean }) => {
    const target: Target = { store: undefined, checks: 0 };
    return restoreState({
      read: () => partsOf(changed),
      state: createTarget(target),
      settleMs: 1000,
      dryRun: false,
      force: options.force ?? false,
      answers: (at) => {
        asked.push(at);
        return Promise.resolve(options.alive ?? true);
      },
    }).finally(() => target.store?.close());
  };
  await assert.rejects(restore({}), {
    code: "failed_precondition",
    message:
      /an agent answers at http:\/\/198\.18\.0\.1:9000.*restore with --force/,
  });
  assert.deepEqual(asked, [url]);
  assert.equal((await restore({ force: true })).hasRegistry, true);
  assert.equal((await restore({ alive: false })).hasRegistry, true);
});
