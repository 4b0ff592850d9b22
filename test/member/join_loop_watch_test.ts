import assert from "node:assert/strict";
import type { ClusterEvent } from "../../src/registry/feed.ts";
import type { RegistryPeer } from "../../src/registry/peer.ts";
import { RegistryWatch } from "../../src/member/join_loop.ts";
import { NetError } from "../../src/base/error.ts";
import { waitFor } from "../support/wait_for.ts";

/** A connection of a watch: what a test sends over it. */
interface Connection {
  readonly signal: AbortSignal;
  send(revision: number): void;
  fail(error: NetError): void;
}

/** A watch whose connections a test holds, and what it told. */
function open() {
  const connections: Connection[] = [];
  const heard: number[] = [];
  const watch = new RegistryWatch({
    async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
      const waiting: (number | NetError)[] = [];
      let wake = () => {};
      const push = (item: number | NetError) => {
        waiting.push(item);
        wake();
      };
      signal.addEventListener("abort", () => wake());
      connections.push({ signal, send: push, fail: push });
      while (!signal.aborted) {
        const item = waiting.shift();
        if (item instanceof NetError) throw item;
        if (item !== undefined) yield eventOf(item);
        else await new Promise<void>((resolve) => wake = resolve);
      }
    },
  } as Partial<RegistryPeer> as RegistryPeer, ({ revision }) => {
    heard.push(revision);
  });
  const stop = new AbortController();
  const over = watch.run(stop.signal);
  return { connections, heard, watch, stop, over };
}

function eventOf(revision: number): ClusterEvent {
  const nothing = { nodes: [], routes: [] };
  const removed = { removedNodes: [], removedRoutes: [] };
  return { revision, isSnapshot: true, ...nothing, ...removed };
}

const GONE = new NetError("unavailable", "It is gone");

Deno.test("RegistryWatch moves to another connection once that tells, and misses nothing", async () => {
  const { connections, heard, watch, stop, over } = open();
  connections[0]!.send(1);
  await waitFor("the first", () => heard.length === 1);
  watch.move();
  await waitFor("another connection", () => connections.length === 2);
  connections[0]!.send(2);
  await waitFor("the second", () => heard.length === 2);
  assert.equal(connections[0]!.signal.aborted, false);
  connections[1]!.send(3);
  await waitFor("the end of the first", () => connections[0]!.signal.aborted);
  connections[1]!.send(4);
  await waitFor("the fourth", () => heard.length === 4);
  assert.deepEqual(heard, [1, 2, 3, 4]);
  stop.abort();
  assert.equal(await over, undefined);
  assert.equal(connections[1]!.signal.aborted, true);
});

Deno.test("RegistryWatch stays where it is when no other connection can be had", async () => {
  const { connections, heard, watch, stop, over } = open();
  watch.move();
  await waitFor("another connection", () => connections.length === 2);
  connections[1]!.fail(GONE);
  connections[0]!.send(1);
  await waitFor("the first", () => heard.length === 1);
  assert.equal(connections[0]!.signal.aborted, false);
  watch.move();
  await waitFor("the next connection", () => connections.length === 3);
  stop.abort();
  assert.equal(await over, undefined);
});

Deno.test("RegistryWatch ends with its connection, or goes on with the next", async () => {
  const first = open();
  first.connections[0]!.fail(GONE);
  assert.equal(await first.over, GONE);

  const { connections, watch, over, heard } = open();
  watch.move();
  await waitFor("another connection", () => connections.length === 2);
  connections[0]!.fail(GONE);
  connections[1]!.send(1);
  await waitFor("the first", () => heard.length === 1);
  connections[1]!.fail(GONE);
  assert.equal(await over, GONE);
});
