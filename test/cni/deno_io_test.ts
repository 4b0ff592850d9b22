import assert from "node:assert/strict";
import { join } from "node:path";
import { createCniHost } from "../../src/cni/deno_io.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const { queue, startTimer } = createCniHost();
const FILE = {
  name: "1.json",
  temporaryName: ".tmp-1",
  text: "hello\n",
  limit: 3,
};

function namesIn(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

Deno.test("queue.write() makes folder and file, for their owner alone", async () => {
  await withTempDir((root) => {
    const dir = join(root, "a", "queue");
    assert.equal(queue.exists(dir), false);
    assert.equal(queue.write(dir, FILE), "written");
    assert.equal(queue.exists(dir), true);
    assert.deepEqual(namesIn(dir), ["1.json"]);
    assert.equal(Deno.readTextFileSync(join(dir, "1.json")), "hello\n");
    assert.equal(Deno.statSync(dir).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(join(dir, "1.json")).mode! & 0o777, 0o640);
    return Promise.resolve();
  });
});

Deno.test("queue.write() writes through a link to the folder", async () => {
  await withTempDir((root) => {
    const dir = join(root, "queue");
    const link = join(root, "link");
    Deno.symlinkSync(dir, link);
    assert.equal(queue.exists(link), false);
    Deno.mkdirSync(dir);
    assert.equal(queue.exists(link), true);
    assert.equal(queue.write(link, FILE), "written");
    assert.deepEqual(namesIn(dir), ["1.json"]);
    return Promise.resolve();
  });
});

Deno.test("queue.write() counts files, but not those that were never finished", async () => {
  await withTempDir((dir) => {
    for (const name of [".tmp-a", ".tmp-b", ".tmp-c"]) {
      Deno.writeTextFileSync(join(dir, name), "half");
    }
    for (const name of ["1.json", "2.json", "3.json"]) {
      assert.equal(queue.write(dir, { ...FILE, name }), "written");
    }
    assert.equal(queue.write(dir, { ...FILE, name: "4.json" }), "full");
    assert.equal(namesIn(dir).length, 6);
    return Promise.resolve();
  });
});

Deno.test("queue.write() that fails leaves nothing of the file", async (t) => {
  await t.step(
    "a file of the temporary name is there",
    () =>
      withTempDir((dir) => {
        Deno.writeTextFileSync(join(dir, FILE.temporaryName), "another's");
        assert.throws(() => queue.write(dir, FILE), Deno.errors.AlreadyExists);
        assert.deepEqual(namesIn(dir), [FILE.temporaryName]);
        return Promise.resolve();
      }),
  );
  await t.step("the name is taken by a folder", () =>
    withTempDir((dir) => {
      Deno.mkdirSync(join(dir, FILE.name));
      assert.throws(() => queue.write(dir, FILE));
      assert.deepEqual(namesIn(dir), [FILE.name]);
      return Promise.resolve();
    }));
});

Deno.test("startTimer() expires, or is cancelled before", async () => {
  const start = performance.now();
  // The engine's timer does not keep the process waiting: this one does.
  const keep = setInterval(() => {}, 1_000);
  try {
    await startTimer(50).expired;
    assert.ok(performance.now() - start >= 45);
    const timer = startTimer(60_000);
    timer.cancel();
    await timer.expired;
    assert.ok(performance.now() - start < 30_000);
  } finally {
    clearInterval(keep);
  }
});

Deno.test("createCniHost().queue follows no link of another user, nor to another user's folder", () =>
  withTempDir(async (dir) => {
    const { queue } = createCniHost();
    const chown = (path: string) => run("chown", ["-h", "65534", path]);
    Deno.mkdirSync(`${dir}/own`);
    Deno.symlinkSync(`${dir}/own`, `${dir}/link`);
    assert.equal(queue.exists(`${dir}/link`), true);
    Deno.symlinkSync(`${dir}/own`, `${dir}/planted`);
    await chown(`${dir}/planted`);
    assert.equal(queue.exists(`${dir}/planted`), false);
    await chown(`${dir}/own`);
    assert.equal(queue.exists(`${dir}/link`), false);
  }));
