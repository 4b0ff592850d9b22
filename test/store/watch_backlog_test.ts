import assert from "node:assert/strict";
import { MAX_BACKLOG } from "../../src/store/change_feed.ts";
import type { Change } from "../../src/store/store.ts";
import { WatchBacklog } from "../../src/store/watch_backlog.ts";

function change(n: number): Change {
  return { key: ["a", n], value: n, version: String(n) };
}

Deno.test("WatchBacklog.read() gives the snapshot, then all changes so far at once", async () => {
  const backlog = new WatchBacklog();
  const reader = backlog.read();
  const first = reader.next();
  backlog.restart([]);
  backlog.push([change(1)]);
  backlog.push([change(2), change(3)]);
  assert.deepEqual((await first).value, { kind: "snapshot", entries: [] });
  assert.deepEqual((await reader.next()).value, {
    kind: "changes",
    changes: [change(1), change(2), change(3)],
  });
  backlog.end();
  assert.ok((await reader.next()).done);
});

Deno.test("WatchBacklog drops surplus messages, until a snapshot restarts it", async () => {
  const backlog = new WatchBacklog();
  let losses = 0;
  backlog.onLost = () => losses++;
  backlog.restart([]);
  backlog.push(Array.from({ length: MAX_BACKLOG }, (_, i) => change(i)));
  assert.ok(!backlog.isLost);
  backlog.push([change(MAX_BACKLOG)]);
  backlog.push([change(MAX_BACKLOG + 1)]);
  assert.ok(backlog.isLost);
  assert.equal(losses, 1);

  const reader = backlog.read();
  const next = reader.next();
  await backlog.wanted();
  backlog.restart([change(7)]);
  assert.ok(!backlog.isLost);
  assert.deepEqual((await next).value, {
    kind: "snapshot",
    entries: [change(7)],
  });
});

Deno.test("WatchBacklog.end() ends at once, with the error there is", async () => {
  const quiet = new WatchBacklog();
  quiet.restart([]);
  quiet.end();
  assert.ok((await quiet.read().next()).done);
  await quiet.wanted();

  const failed = new WatchBacklog();
  const next = failed.read().next();
  failed.end(new Error("it broke"));
  failed.end();
  await assert.rejects(next, /it broke/);
});
