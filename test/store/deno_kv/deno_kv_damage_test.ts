import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import { collect, put } from "../../suite/store_suite_support.ts";
import { withTempDir } from "../../support/temp_dir.ts";

testInFolder(
  "openDenoKv() refuses a damaged file and leaves it alone",
  async (folder) => {
    const path = `${folder}/state.db`;
    const store = await openDenoKv({ path });
    for (let i = 0; i < 20; i++) await put(store, ["a", i], "x".repeat(4000));
    await store.close();
    const good = await Deno.readFile(path);
    change(path, "v_encoding = 7", "true");
    const unreadable = await Deno.readFile(path);
    const noise = new Uint8Array(40_000).map((_, i) => i * 37 + 5);
    const steps: [string, Uint8Array][] = [
      ["noise", noise],
      ["a text", new TextEncoder().encode("not a state file\n")],
      ["cut within the header", good.slice(0, 60)],
      ["cut behind the header", good.slice(0, 100)],
      ["cut to a page", good.slice(0, 4096)],
      ["cut to a half", good.slice(0, good.length >> 1)],
      ["a header of noise", overwrite(good, 0, noise.slice(0, 100))],
      ["a schema of noise", overwrite(good, 100, noise.slice(0, 3996))],
      ["entries that cannot be read", unreadable],
    ];
    for (const [name, bytes] of steps) {
      await Deno.writeFile(path, bytes);
      await assert.rejects(() => openDenoKv({ path }), {
        name: "NetError",
        code: "failed_precondition",
        message:
          `Cannot open the state file "${path}": the file is damaged or no state file; ` +
          "restore it from a backup, or move it away to start empty",
      }, name);
      assert.deepEqual(await Deno.readFile(path), bytes, name);
    }
    await Deno.writeFile(path, good);
    const again = await openDenoKv({ path });
    assert.equal((await collect(again.list([]))).length, 20);
    await again.close();
  },
);

testInFolder(
  "list() and watch() find damage when they read it",
  async (folder) => {
    const path = `${folder}/state.db`;
    const store = await openDenoKv({ path });
    for (let i = 0; i < 200; i++) await put(store, ["a", i], "x".repeat(1000));
    await store.close();
    const good = await Deno.readFile(path);
    const pages = new Uint8Array(3 * 4096).fill(0xff);
    const steps: [string, () => Promise<void> | void][] = [
      ["pages", () => Deno.writeFile(path, overwrite(good, 30 * 4096, pages))],
      ["an encoding", () => change(path, "v_encoding = 7")],
      ["a value", () => change(path, "v = 'text'")],
      [
        "a key",
        () => change(path, "k = X'2261'"),
      ],
      ["a version", () => change(path, "version = 'x'")],
    ];
    const refused = {
      name: "NetError",
      code: "failed_precondition",
      message: new RegExp(`^Cannot read the state file "${path}": .*damaged`),
    };
    for (const [name, damage] of steps) {
      await Deno.writeFile(path, good);
      await damage();
      const damaged = await openDenoKv({ path });
      await assert.rejects(() => collect(damaged.list([])), refused, name);
      const { signal } = new AbortController();
      await assert.rejects(
        () => collect(damaged.watch([], { signal })),
        refused,
        name,
      );
      await damaged.close();
    }
  },
);

testInFolder(
  "get() and list() refuse entries that are no JSON in UTF-8",
  async (folder) => {
    const path = `${folder}/state.db`;
    const bytes = (...all: number[]) => new Uint8Array(all);
    const steps: [string, Deno.KvKey, unknown][] = [
      ["a value that is not bytes", ["a"], "text"],
      ["bad UTF-8", ["b"], bytes(0x22, 0xff, 0x22)],
      ["a byte order mark", ["c"], bytes(0xef, 0xbb, 0xbf, 0x31)],
      ["no JSON", ["d"], new TextEncoder().encode("{'a': 1}")],
      ["cut JSON", ["e"], new TextEncoder().encode('{"a": ')],
      ["nothing", ["f"], bytes()],
    ];
    const raw = await Deno.openKv(path);
    for (const [, key, value] of steps) await raw.set(key, value);
    await raw.set([true], bytes(0x31));
    raw.close();
    const store = await openDenoKv({ path });
    for (const [name, key] of steps) {
      await assert.rejects(() => store.get(key as string[]), {
        name: "NetError",
        code: "failed_precondition",
        message:
          `Cannot read ${
            JSON.stringify(key)
          } of the state file "${path}": it is not ` +
          "an entry of JSON in UTF-8; restore the state from a backup, " +
          "or move it away to start empty",
      }, name);
    }
    const damaged = { name: "NetError", code: "failed_precondition" };
    await assert.rejects(() => collect(store.list([])), damaged);
    await assert.rejects(() => collect(store.list([], { after: ["f"] })), {
      ...damaged,
      message: /\["true"\]/,
    });
    await store.close();
  },
);

function testInFolder(
  name: string,
  body: (folder: string) => Promise<void>,
): void {
  Deno.test(name, () => withTempDir(body));
}

function overwrite(
  bytes: Uint8Array,
  offset: number,
  noise: Uint8Array,
): Uint8Array {
  const copy = bytes.slice();
  copy.set(noise, offset);
  return copy;
}

/** Changes rows; by default the last: the first is read when a file is opened. */
function change(
  path: string,
  assignment: string,
  where = "k = (SELECT max(k) FROM kv)",
): void {
  const database = new DatabaseSync(path);
  database.exec(`UPDATE kv SET ${assignment} WHERE ${where}`);
  database.close();
}
