import assert from "node:assert/strict";
import { Allocator } from "../../src/addresses/allocator.ts";
import { networks, request, startAgent } from "../agent/agents.ts";
import { owner } from "./plan/pools.ts";

Deno.test("Allocator.allocate() gives up after eight others got an allocation meanwhile", async () => {
  await using started = await startAgent({
    networks: networks(["10.0.0.0/16", 24]),
  });
  const { agent, store } = started;
  await agent.member.claim();
  const allocator = new Allocator({
    ...{ store, node: "a", coolDownMs: 0, now: () => 0, isShared: true },
  });
  const attachment = (inode: number) => ({
    attachment: {
      ...{ netns: "/n", netnsSeen: true, bootId: "boot-1" },
      namespace: { inode, since: "" },
    },
  });
  let asked = 0;
  /** Another ADD replaces the container while the host is asked for it. */
  const another = async () => {
    await allocator.release(owner("c"), "another");
    await allocator.allocate({ ...request("c"), ...attachment(++asked) });
    return "gone" as const;
  };
  await allocator.allocate({ ...request("c"), ...attachment(0) });
  const add = { ...request("c"), ...attachment(99), presenceOf: another };
  await assert.rejects(allocator.allocate(add), {
    code: "unavailable",
    message: /others keep allocating to it; try again$/,
  });
  assert.equal(asked, 8);
});
