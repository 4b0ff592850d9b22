import assert from "node:assert/strict";
import { MAX_BACKLOG } from "../../../src/store/change_feed.ts";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { testStore } from "../../suite/store_suite.ts";
import {
  put,
  type StoreSubject,
  WatchReader,
} from "../../suite/store_suite_support.ts";

async function openFile(folder: string): Promise<StoreSubject> {
  const path = `${folder}/state.db`;
  let store = await openDenoKv({ path });
  return {
    store,
    async reopen() {
      await store.close();
      return store = await openDenoKv({ path });
    },
    async dispose() {
      await store.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

testStore("openDenoKv(file)", {
  durable: true,
  maxBacklog: MAX_BACKLOG,
  open: async () => await openFile(await Deno.makeTempDir()),
});

testStore("openDenoKv(:memory:)", {
  durable: false,
  maxBacklog: MAX_BACKLOG,
  async open() {
    const store = await openDenoKv({ path: ":memory:" });
    return { store, dispose: () => store.close() };
  },
});

testInFolder(
  "openDenoKv() lets only the owner read its files",
  async (folder) => {
    const store = await openDenoKv({ path: `${folder}/state.db` });
    await put(store, ["a"], 1);
    const modes = new Map<string, string>();
    for await (const { name } of Deno.readDir(folder)) {
      const { mode } = await Deno.stat(`${folder}/${name}`);
      modes.set(name, (mode! & 0o777).toString(8));
    }
    assert.deepEqual(
      modes,
      new Map([["state.db", "600"], ["state.db-shm", "600"], [
        "state.db-wal",
        "600",
      ]].sort() as [string, string][]),
    );
    await store.close();
  },
);

testInFolder("openDenoKv() tells where the state is", async (folder) => {
  const relative = `${folder}/../${folder.split("/").at(-1)}/http:/x.db`;
  await Deno.mkdir(`${folder}/http:`);
  const file = await openDenoKv({ path: relative });
  assert.equal(file.url, `kv:${folder}/http:/x.db`);
  await file.close();
  const memory = await openDenoKv({ path: ":memory:" });
  assert.equal(memory.url, "kv::memory:");
  await memory.close();
});

Deno.test("openDenoKv(:memory:) opens a store of its own each time", async () => {
  const [one, two] = [
    await openDenoKv({ path: ":memory:" }),
    await openDenoKv({ path: ":memory:" }),
  ];
  await put(one, ["a"], 1);
  assert.equal(await two.get(["a"]), null);
  await Promise.all([one.close(), two.close()]);
});

Deno.test("openDenoKv() refuses an empty path", async () => {
  await assert.rejects(() => openDenoKv({ path: "" }), RangeError);
});

testInFolder("openDenoKv() refuses what cannot be a file", async (folder) => {
  await Deno.writeTextFile(`${folder}/file`, "");
  const pipe = ["--mode=600", `${folder}/pipe`];
  assert.ok(
    (await new Deno.Command("mkfifo", { args: pipe }).output()).success,
  );
  const steps: [string, string, RegExp][] = [
    ["a missing folder", `${folder}/none/state.db`, /folder does not exist/],
    ["a folder", folder, /cannot be a file/],
    ["below a file", `${folder}/file/state.db`, /cannot be a file/],
    ["too long a name", `${folder}/${"x".repeat(300)}`, /cannot be a file/],
    ["a device", "/dev/null", /others can write/],
    ["a pipe", `${folder}/pipe`, /not a regular file/],
  ];
  for (const [name, path, says] of steps) {
    await assert.rejects(() => openDenoKv({ path }), (error: Error) => {
      assert.equal(error.name, "NetError", name);
      assert.equal((error as { code?: string }).code, "failed_precondition");
      assert.match(error.message, says, name);
      assert.ok(error.message.includes(`"${path}"`), error.message);
      return true;
    });
  }
});

testInFolder(
  "openDenoKv() refuses a file that is open already",
  async (folder) => {
    const path = `${folder}/state.db`;
    const store = await openDenoKv({ path });
    await put(store, ["a"], 1);
    await assert.rejects(() => openDenoKv({ path }), {
      name: "NetError",
      code: "unavailable",
      message: /it is in use; stop the agent/,
    });
    await put(store, ["a"], 2);
    await store.close();
    const again = await openDenoKv({ path });
    assert.equal((await again.get(["a"]))?.value, 2);
    await again.close();
  },
);

Deno.test("commit() says when its outcome is not known, and watchers look again", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const watch = new WatchReader(store, []);
  await watch.next();
  const waiting = watch.next();
  const { commit } = Deno.AtomicOperation.prototype;
  Deno.AtomicOperation.prototype.commit = async function () {
    await commit.call(this);
    throw new TypeError("disk I/O error");
  };
  try {
    await assert.rejects(() => put(store, ["a"], 1), {
      name: "NetError",
      code: "unavailable",
      message: "Cannot write to the store in memory: the disk reported an " +
        "error or is full; look at free space and the kernel's log; " +
        "whether the commit was written is not known",
    });
  } finally {
    Deno.AtomicOperation.prototype.commit = commit;
  }
  const entry = await store.get(["a"]);
  assert.equal(entry?.value, 1);
  assert.deepEqual(await waiting, { kind: "snapshot", entries: [entry] });
  const version = await put(store, ["b"], 2);
  assert.deepEqual(await watch.next(), {
    kind: "changes",
    changes: [{ key: ["b"], value: 2, version }],
  });
  await store.close();
});

function testInFolder(
  name: string,
  body: (folder: string) => Promise<void>,
): void {
  Deno.test(name, () => withTempDir(body));
}
