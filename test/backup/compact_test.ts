import assert from "node:assert/strict";
import { historyPuts } from "../../src/addresses/history.ts";
import { copyState } from "../../src/backup/compact.ts";
import { parseAddress } from "../../src/net/address.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { rewriteStateFile } from "../../src/store/deno_kv/state_file.ts";
import type { Store } from "../../src/store/store.ts";
import { withTempDir } from "../support/temp_dir.ts";

const RECORDS = 4_000;

/** Writes a state with as much history: a release each millisecond from 1 on. */
async function writeState(store: Store): Promise<void> {
  await store.commit({ puts: [{ key: ["agent", "x"], value: "kept" }] });
  const owner = { network: "n", containerId: "c", interfaceName: "eth0" };
  for (let from = 0; from < RECORDS; from += 200) {
    const puts = Array.from({ length: 200 }, (_, i) =>
      historyPuts("a", {
        allocation: {
          ...{ id: "i", owner, allocatedAtMs: 0, isRequested: false },
          addresses: [{
            address: parseAddress("172.16.0.2"),
            subnet: undefined,
          }],
          attachment: undefined,
        } as unknown as Parameters<typeof historyPuts>[1]["allocation"],
        releasedAtMs: from + i + 1,
        ...{ reason: "x".repeat(80), sequence: i },
      })).flat();
    await store.commit({ puts });
  }
}

/** All entries, without their versions. */
async function entriesOf(path: string): Promise<unknown[]> {
  const store = await openDenoKv({ path });
  try {
    const entries = await Array.fromAsync(store.list([]));
    return entries.map(({ key, value }) => [key, value]);
  } finally {
    await store.close();
  }
}

async function withState(
  test: (path: string) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const path = `${dir}/state.db`;
    const store = await openDenoKv({ path });
    await writeState(store);
    await store.close();
    await test(path);
  });
}

const all = { historySinceMs: undefined };

Deno.test("rewriteStateFile() with copyState() gives the space of removed history back, and keeps all else", () =>
  withState(async (path) => {
    const before = await entriesOf(path);
    const whole = await rewriteStateFile(path, (a, b) => copyState(a, b, all));
    assert.deepEqual(whole.result, { entries: 2 * RECORDS + 1, removed: 0 });
    assert.deepEqual(await entriesOf(path), before);
    const { mode } = await Deno.stat(path);
    assert.equal(mode! & 0o777, 0o600);
    const historySinceMs = RECORDS - 99;
    const small = await rewriteStateFile(
      path,
      (a, b) => copyState(a, b, { historySinceMs }),
    );
    assert.deepEqual(small.result, { entries: 201, removed: RECORDS - 100 });
    assert.ok(small.bytesAfter < small.bytesBefore / 5, JSON.stringify(small));
    assert.equal((await Deno.stat(path)).size, small.bytesAfter);
    const left = await entriesOf(path);
    assert.deepEqual(
      left,
      before.filter((entry) => {
        const [key] = entry as [unknown[]];
        const atMs = key[1] === "time" ? key[2] : key[4];
        return key[0] !== "history" || Number(atMs) >= historySinceMs;
      }),
    );
  }));

Deno.test("rewriteStateFile() leaves the state as it is when copying fails, and removes the copy", () =>
  withState(async (path) => {
    const before = await entriesOf(path);
    await assert.rejects(
      rewriteStateFile(path, async (from, to) => {
        await copyState(from, to, all);
        throw new Deno.errors.WriteZero("ENOSPC");
      }),
      /Cannot compact the state file/,
    );
    assert.deepEqual(await entriesOf(path), before);
    const files = [...Deno.readDirSync(path.replace(/\/[^/]*$/, ""))];
    assert.deepEqual(files.map(({ name }) => name), ["state.db"]);
  }));

Deno.test("rewriteStateFile() refuses a state that is open, or was used meanwhile, or is missing", () =>
  withState(async (path) => {
    const open = await openDenoKv({ path });
    const compact = () =>
      rewriteStateFile(path, (a, b) => copyState(a, b, all));
    await assert.rejects(compact(), /in use; stop the agent/);
    await open.close();
    await Deno.rename(path, `${path}.old`);
    await assert.rejects(compact(), { code: "not_found" });
  }));
