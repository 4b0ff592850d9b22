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

Deno.test("FileReleaseQueue lists what waits, the oldest first, and removes it", async () => {
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

Deno.test("FileReleaseQueue sets aside what it cannot read", async () => {
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
