import assert from "node:assert/strict";
import { FakeMetrics } from "../fake/fake_metrics.ts";
import { allocate, networks, request, startAgent } from "./agents.ts";

Deno.test("Agent counts each allocation and release by cause", async (t) => {
  const metrics = new FakeMetrics();
  const leaks: string[] = [];
  await using started = await startAgent({
    metrics,
    networks: networks(["10.0.0.0/24", 29]),
    leakGraceMs: 0,
    onLeak: (text, container) => leaks.push(`${container}: ${text}`),
  });
  const { agent, netns, queue, clock } = started;
  const attached = (id: string, path: string) =>
    agent.addresses.allocate("a", { ...request(id), netns: path });
  const rows: readonly [
    name: string,
    act: () => Promise<unknown>,
    told: readonly (readonly string[])[],
  ][] = [
    ["new", () => allocate(agent, "c1"), [["allocated", "created"]]],
    ["the same again", () => allocate(agent, "c1"), [[
      "allocated",
      "existing",
    ]]],
    [
      "an address that another holds",
      () =>
        assert.rejects(
          allocate(agent, "c2", { addresses: ["10.0.0.2"] }),
          { code: "already_exists" },
        ),
      [["allocated", "already_exists"]],
    ],
    [
      "release",
      () =>
        agent.addresses.release("a", {
          owner: request("c1").owner,
          reason: "leaked: no",
        }),
      [
        ["released", "requested"],
      ],
    ],
    [
      "release of nothing",
      () =>
        agent.addresses.release("a", {
          owner: request("c1").owner,
          reason: "x",
        }),
      [],
    ],
    ["undo", async () => {
      const { allocation } = await agent.addresses.allocate("a", request("c3"));
      await agent.addresses.undo("a", allocation.owner, allocation.id);
    }, [["allocated", "created"], ["released", "undelivered"]]],
    ["GC", async () => {
      await attached("c4", "");
      const { network } = request("c4").owner;
      await agent.addresses.releaseOthers("a", network, []);
    }, [["allocated", "created"], ["released", "gc"]]],
    ["leak", async () => {
      netns.set("/n", "there");
      await attached("c5", "/n");
      netns.set("/n", "gone");
      await agent.addresses.collectLeaks();
      clock.nowMs += 1;
      await agent.addresses.collectLeaks();
    }, [["allocated", "created"], ["released", "leaked"]]],
    ["queued DEL", async () => {
      const { owner } = request("c6");
      await attached("c6", "");
      queue.push(owner);
      await agent.addresses.applyQueue();
    }, [["allocated", "created"], ["released", "queued"]]],
    ["exhaustion", async () => {
      for (const id of ["d1", "d2", "d3", "d4", "d5"]) {
        await allocate(agent, id);
      }
      await assert.rejects(allocate(agent, "d6"), { code: "exhausted" });
    }, [
      ...Array<readonly string[]>(5).fill(["allocated", "created"]),
      ["allocated", "exhausted"],
    ]],
  ];
  for (const [name, act, told] of rows) {
    await t.step(name, async () => {
      metrics.told.length = 0;
      await act();
      assert.deepEqual(metrics.told, told);
    });
  }
  assert.equal(leaks.length, 1);
  assert.match(
    leaks[0]!,
    /^c5: The leaked addresses of .*c5.* were released: /,
  );
});
