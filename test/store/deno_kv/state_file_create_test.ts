import assert from "node:assert/strict";
import { NewStateFile } from "../../../src/store/deno_kv/state_file.ts";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../../src/store/store.ts";
import { withTempDir } from "../../support/temp_dir.ts";

async function fill(store: Store): Promise<void> {
  for (let i = 0; i < 3000; i += 500) {
    const puts = Array.from(
      { length: 500 },
      (_, j) => ({ key: ["n", i + j], value: "x".repeat(1000) }),
    );
    await store.commit({ puts });
  }
}

async function namesIn(dir: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(dir));
  return entries.map(({ name }) => name).sort();
}

Deno.test("NewStateFile.create() makes one file, for its owner alone, with all that was written", () =>
  withTempDir(async (dir) => {
    const file = new NewStateFile(`${dir}/state.db`);
    await file.check();
    await file.create(fill);
    assert.deepEqual(await namesIn(dir), ["state.db"]);
    assert.equal((await Deno.stat(file.path)).mode! & 0o777, 0o600);
    const store = await openDenoKv({ path: file.path });
    assert.equal((await Array.fromAsync(store.list([]))).length, 3000);
    await store.close();
  }));

Deno.test("NewStateFile refuses a place where a state is", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/state.db`;
    await (await openDenoKv({ path })).close();
    const before = await Deno.readFile(path);
    const file = new NewStateFile(path);
    const refusal = {
      code: "failed_precondition",
      message:
        `Cannot restore to "${path}": there is a state already; move it and the files that begin with its name away, or name another folder with --state`,
    };
    await assert.rejects(file.check(), refusal);
    await assert.rejects(file.create(fill), refusal);
    assert.deepEqual(await Deno.readFile(path), before);
    assert.deepEqual(await namesIn(dir), ["state.db"]);
  }));

Deno.test("NewStateFile refuses a path beside which a log is left", () =>
  withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/state.db-wal`, "something");
    const file = new NewStateFile(`${dir}/state.db`);
    await assert.rejects(file.create(fill), { code: "failed_precondition" });
    assert.deepEqual(await namesIn(dir), ["state.db-wal"]);
  }));

Deno.test("NewStateFile refuses a place that is in use", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/state.db`;
    const store = await openDenoKv({ path });
    const file = new NewStateFile(path);
    await assert.rejects(file.check(), { code: "unavailable" });
    await assert.rejects(file.create(fill), { code: "unavailable" });
    await store.close();
  }));

Deno.test("NewStateFile.create() keeps others away from its place", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/state.db`;
    await new NewStateFile(path).create(async () => {
      await assert.rejects(openDenoKv({ path }), { code: "unavailable" });
    });
    await (await openDenoKv({ path })).close();
  }));

Deno.test("NewStateFile.create() leaves nothing behind when it is not filled", () =>
  withTempDir(async (dir) => {
    const file = new NewStateFile(`${dir}/state.db`);
    const filled = file.create(async (store) => {
      await fill(store);
      throw new RangeError("enough");
    });
    await assert.rejects(filled, { code: "internal" });
    assert.deepEqual(await namesIn(dir), []);
  }));

Deno.test("NewStateFile.create() starts again after one that was killed", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/state.db`;
    // What is there while it is filled.
    await Deno.writeTextFile(path, "");
    const left = await openDenoKv({ path: `${path}.restoring` });
    await left.commit({ puts: [{ key: ["old"], value: 1 }] });
    await left.close();
    await Deno.writeTextFile(`${path}.restoring-wal`, "");
    await assert.rejects(openDenoKv({ path }), {
      code: "failed_precondition",
      message:
        `Cannot open the state file "${path}": a restore was interrupted; restore again, or remove "${path}.restoring" to begin without`,
    });
    const file = new NewStateFile(path);
    await file.check();
    await file.create(fill);
    assert.deepEqual(await namesIn(dir), ["state.db"]);
    const store = await openDenoKv({ path });
    assert.equal(await store.get(["old"]), null);
    await store.close();
  }));

Deno.test("NewStateFile.create() leaves nothing that an agent starts with, whenever it is killed", () =>
  withTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/state`);
    const path = `${dir}/state/state.db`;
    let copies = 0;
    /** Looks at the folder as a process that is killed now leaves it. */
    const tryCopy = async () => {
      const copy = `${dir}/copy${copies++}`;
      await Deno.mkdir(copy);
      for (const name of await namesIn(`${dir}/state`)) {
        await Deno.copyFile(`${dir}/state/${name}`, `${copy}/${name}`);
      }
      await assert.rejects(openDenoKv({ path: `${copy}/state.db` }), {
        code: "failed_precondition",
        message: /a restore was interrupted/,
      });
    };
    await new NewStateFile(path).create(async (store) => {
      await tryCopy();
      await fill(store);
      await tryCopy();
    }, tryCopy);
    assert.equal(copies, 3);
    assert.deepEqual(await namesIn(`${dir}/state`), ["state.db"]);
  }));

Deno.test("NewStateFile.create() leaves nothing behind when the check fails", () =>
  withTempDir(async (dir) => {
    const file = new NewStateFile(`${dir}/state.db`);
    const check = () => Promise.reject(new RangeError("no"));
    await assert.rejects(file.create(fill, check), { code: "internal" });
    assert.deepEqual(await namesIn(dir), []);
  }));
