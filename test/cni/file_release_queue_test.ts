import assert from "node:assert/strict";
import {
  encodeQueueEntry,
  queueFileName,
} from "../../src/cni/text/queue_entry.ts";
import { FileReleaseQueue } from "../../src/cni/file_release_queue.ts";
import { owner } from "../addresses/plan/pools.ts";
import { withTempDir } from "../support/temp_dir.ts";

function write(dir: string, containerId: string, requestedAtMs: number): void {
  const name = queueFileName(requestedAtMs, crypto.randomUUID());
  const entry = { owner: owner(containerId), requestedAtMs };
  Deno.writeTextFileSync(`${dir}/${name}`, encodeQueueEntry(entry));
}

Deno.test("FileReleaseQueue lists waiting releases, the oldest first, and removes them", async () => {
  await withTempDir(async (dir) => {
    const path = `${dir}/queue`;
    const queue = FileReleaseQueue.open({ path, socketPath: `${dir}/a.sock` });
    queue.link();
    // Through the link beside the socket, as a plugin writes.
    write(`${dir}/a.sock.queue`, "late", 2);
    write(`${dir}/a.sock.queue`, "early", 1);
    Deno.writeTextFileSync(`${path}/.tmp-half-written`, "{");
    const releases = await queue.list();
    assert.deepEqual(
      releases.map(({ owner, requestedAtMs }) => [
        owner.containerId,
        requestedAtMs,
      ]),
      [["early", 1], ["late", 2]],
    );
    await queue.remove(releases[0]!.id);
    assert.equal(await queue.size(), 1);
  });
});

Deno.test("FileReleaseQueue sets unreadable files aside", async () => {
  await withTempDir(async (dir) => {
    const queue = FileReleaseQueue.open({
      path: dir,
      socketPath: `${dir}/a.sock`,
    });
    const name = queueFileName(1, crypto.randomUUID());
    Deno.writeTextFileSync(`${dir}/${name}`, "{}");
    write(dir, "good", 2);
    assert.deepEqual(
      (await queue.list()).map((r) => r.owner.containerId),
      ["good"],
    );
    assert.equal(await queue.size(), 1);
    assert.ok(Deno.statSync(`${dir}/${name}.bad`).isFile);
  });
});

Deno.test("FileReleaseQueue.link() moves its link along, and open() leaves it alone", async () => {
  await withTempDir((dir) => {
    const open = (name: string) =>
      FileReleaseQueue.open({
        path: `${dir}/${name}`,
        socketPath: `${dir}/a.sock`,
      });
    for (const name of ["one", "two", "two"]) open(name).link();
    open("three");
    assert.equal(
      Deno.readLinkSync(`${dir}/a.sock.queue`),
      Deno.realPathSync(`${dir}/two`),
    );
    Deno.removeSync(`${dir}/a.sock.queue`);
    Deno.writeTextFileSync(`${dir}/a.sock.queue`, "");
    assert.throws(
      () => open("two").link(),
      { code: "unavailable", message: /a\.sock\.queue/ },
    );
    return Promise.resolve();
  });
});

Deno.test("FileReleaseQueue gives a group a folder beside the socket, and keeps its entries", async () => {
  await withTempDir(async (dir) => {
    const options = { path: `${dir}/queue`, socketPath: `${dir}/a.sock` };
    const beside = `${dir}/a.sock.queue`;
    FileReleaseQueue.open(options).link();
    write(`${dir}/queue`, "old", 1);
    const queue = FileReleaseQueue.open({ ...options, groupId: 4 });
    queue.link();
    const { mode, gid } = Deno.lstatSync(beside);
    assert.deepEqual([mode! & 0o7777, gid], [0o2770, 4]);
    write(beside, "new", 2);
    const ids = (await queue.list()).map((r) => r.owner.containerId);
    assert.deepEqual([ids, await queue.size()], [["old", "new"], 2]);
    // Without the group, nobody else may add to what waits.
    const closed = FileReleaseQueue.open(options);
    closed.link();
    assert.equal(Deno.lstatSync(beside).mode! & 0o7777, 0o700);
    for (const { id } of await closed.list()) await closed.remove(id);
    assert.equal(await closed.size(), 0);
  });
});

Deno.test("FileReleaseQueue follows no link, and no other user's folder", async (t) => {
  const NOBODY = 65_534;
  const withQueue = (
    use: (at: {
      readonly dir: string;
      readonly path: string;
      readonly open: (groupId?: number) => FileReleaseQueue;
    }) => Promise<void>,
  ) =>
    withTempDir(async (dir) => {
      const path = `${dir}/queue`;
      const options = { path, socketPath: `${dir}/a.sock` };
      await use({
        ...{ dir, path },
        open: (groupId) => FileReleaseQueue.open({ ...options, groupId }),
      });
    });

  await t.step(
    "a link in place of the folder",
    () =>
      withQueue(async ({ dir, path, open }) => {
        const queue = open();
        Deno.removeSync(path);
        Deno.mkdirSync(`${dir}/theirs`);
        Deno.symlinkSync(`${dir}/theirs`, path);
        write(`${dir}/theirs`, "c1", 1);
        const refusal = {
          code: "failed_precondition",
          message: /queue" is a link; put the file or folder itself there/,
        };
        assert.throws(() => open(), refusal);
        await assert.rejects(queue.list(), refusal);
        await assert.rejects(queue.size(), refusal);
      }),
  );

  await t.step(
    "a folder that all can write",
    () =>
      withQueue(async ({ path, open }) => {
        const queue = open();
        Deno.chmodSync(path, 0o777);
        await assert.rejects(queue.list(), { message: /others can write/ });
      }),
  );

  await t.step(
    "an entry that is a link or a pipe is set aside",
    () =>
      withQueue(async ({ dir, path, open }) => {
        const queue = open();
        write(dir, "c1", 1);
        const file = Array.from(Deno.readDirSync(dir))
          .find(({ isFile }) => isFile)!;
        Deno.symlinkSync(`${dir}/${file.name}`, `${path}/${file.name}`);
        const pipe = queueFileName(2, crypto.randomUUID());
        const made = new Deno.Command("mkfifo", { args: [`${path}/${pipe}`] });
        assert.ok(made.outputSync().success);
        assert.deepEqual(await queue.list(), []);
        for (const name of [file.name, pipe]) {
          assert.ok(Deno.lstatSync(`${path}/${name}.bad`));
        }
        assert.ok(Deno.statSync(`${dir}/${file.name}`).isFile);
      }),
  );

  await t.step(
    "another user's folder beside the socket",
    () =>
      withQueue(async ({ dir, open }) => {
        const beside = `${dir}/a.sock.queue`;
        Deno.mkdirSync(beside);
        Deno.chownSync(beside, NOBODY, NOBODY);
        write(beside, "c1", 1);
        const queue = open(4);
        assert.throws(() => queue.link(), { code: "unavailable" });
        assert.equal(Deno.lstatSync(beside).gid, NOBODY);
        assert.deepEqual(await queue.list(), []);
      }),
  );
});
