import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import {
  formatStatus,
  pruneIntervalMs,
  startServiceReport,
} from "../../src/agent/daemon.ts";
import type { ServiceNews } from "../../src/system/service_manager.ts";
import { parsePrefix } from "../../src/net/prefix.ts";

const LINK = {
  state: "joined",
  sinceMs: 0,
  problem: "",
  url: "",
  urls: [],
} as const;
const MEMBER = { subnets: [parsePrefix("172.16.4.0/22")], link: LINK };
const AGENT = { member: MEMBER } as unknown as Agent;

/** A service manager that waits 20 ms for a sign of life, and tells what it heard. */
function createManager(signs: number) {
  const heard: ServiceNews[] = [];
  const enough = Promise.withResolvers<void>();
  const manager = {
    watchdogMs: 20,
    notify: (news: ServiceNews) => {
      if (heard.push(news) === signs) enough.resolve();
      return Promise.resolve();
    },
  };
  return { manager, heard, enough: enough.promise };
}

Deno.test("pruneIntervalMs() follows the history's length from a second to an hour", () => {
  const hourMs = 3_600_000;
  assert.deepEqual(
    [0, 999, 5_000, hourMs, 90 * 24 * hourMs].map(pruneIntervalMs),
    [
      ...[1_000, 1_000, 5_000, hourMs, hourMs],
    ],
  );
});

Deno.test("formatStatus() says what this node has", () => {
  assert.equal(
    formatStatus("n1", MEMBER),
    "Node n1: 172.16.4.0/22; registry joined",
  );
  assert.equal(
    formatStatus("n1", { ...MEMBER, subnets: [] }),
    "Node n1: no subnet; registry joined",
  );
});

Deno.test("startServiceReport() gives signs of life while the store answers", async () => {
  const { manager, heard, enough } = createManager(3);
  const task = startServiceReport({
    ...{ manager, agent: AGENT, node: "n1" },
    probe: () => Promise.resolve(),
  });
  await enough;
  await task.stop();
  assert.deepEqual(heard[2], {
    isAlive: true,
    status: "Node n1: 172.16.4.0/22; registry joined",
  });
});

Deno.test("startServiceReport() gives none while the store fails or hangs, and then again", async () => {
  const { manager, heard, enough } = createManager(2);
  const hanging = Promise.withResolvers<void>();
  const hangs = Promise.withResolvers<void>();
  const answers = [
    () => Promise.resolve(),
    () => Promise.reject(new Error("the disk is gone")),
    () => {
      hangs.resolve();
      return hanging.promise;
    },
  ];
  const task = startServiceReport({
    ...{ manager, agent: AGENT, node: "n1" },
    probe: () => (answers.shift() ?? (() => Promise.resolve()))(),
  });
  await hangs.promise;
  assert.equal(heard.length, 1);
  hanging.resolve();
  await enough;
  await task.stop();
});
