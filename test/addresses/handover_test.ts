import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { takeOver } from "../../src/addresses/handover.ts";
import {
  addressKey,
  handoverKey,
  poolKey,
} from "../../src/state/address_records.ts";
import type { RegistryCall } from "../fake/fake_registry_peer.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import type { Fault } from "../fake/faulty_store.ts";
import { NetError } from "../../src/base/error.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { owner } from "./plan/pools.ts";
import { waitFor } from "../support/wait_for.ts";
import { allocate, held, startAgent, type TestAgent } from "../agent/agents.ts";
import { becomes } from "../member/joined_hosts.ts";

/** More than a page of a handover has. */
const COUNT = 5;
const HELD = Object.fromEntries(
  Array.from({ length: COUNT }, (_, i) => [`c${i}`, `172.16.0.${2 + i}`]),
);

/** Runs a registry that has the addresses of node "b", and an agent of that node that is not started. */
async function withHandover(
  use: (t: {
    readonly registry: TestAgent;
    readonly peer: FakeRegistryPeer;
    readonly test: TestAgent;
  }) => Promise<void>,
): Promise<void> {
  await using registry = await startAgent();
  await registry.agent.host!.registry.claim("b");
  for (const id of Object.keys(HELD)) {
    await allocate(registry.agent, id, { node: "b" });
  }
  const peer = new FakeRegistryPeer(registry.agent);
  await using test = await startAgent({ node: "b", peers: [peer] });
  // It takes several commits to write what is taken over, and to delete it.
  for (const { store } of [registry, test]) {
    store.limits = { ...store.limits, maxMutations: 8 };
  }
  await use({ registry, peer, test });
}

/** Checks that the node's agent has everything, the registry nothing, and that it goes on from there. */
async function assertTakenOver(
  agent: Agent,
  registry: TestAgent,
): Promise<void> {
  assert.deepEqual(await held(agent, "b"), HELD);
  assert.equal(
    agent.member.subnets.map(formatPrefix).join(" "),
    "172.16.0.0/22",
  );
  const left = await Array.fromAsync(registry.store.list(["ip", "b"]));
  assert.deepEqual(left.map(({ key }) => key), []);
  assert.equal(await allocate(agent, "c0", { node: "b" }), HELD["c0"]);
  assert.equal(
    await allocate(agent, "new", { node: "b" }),
    `172.16.0.${2 + COUNT}`,
  );
}

Deno.test("JoinedMember takes over the allocations that its node got over the API, and continues from there", () =>
  withHandover(async ({ registry, peer, test: { agent } }) => {
    agent.member.start(() => {});
    await becomes(agent, "joined");
    await agent.member.stop();
    assert.ok(peer.calls.filter((call) => call === "handover").length > 2);
    await assertTakenOver(agent, registry);
  }));

/** Where a take-over is interrupted: a commit of the agent's store, of the registry's, or a call. */
const COMMITS = [0, 1, 2, 3, 4];
const FAULTS: readonly Fault[] = ["refuse before", "lose answer"];
const CALLS: readonly (readonly [RegistryCall, nth: number])[] = [
  ["join", 0],
  ["handover", 0],
  ["handover", 1],
  ["handover", 2],
  ["finishHandover", 0],
];

for (const fault of FAULTS) {
  for (const nth of COMMITS) {
    Deno.test(`a take-over is done again when commit ${nth} of the agent fails: ${fault}`, () =>
      withHandover(async ({ registry, test }) => {
        test.store.failAfter(nth, fault);
        test.agent.member.start(() => {});
        await becomes(test.agent, "joined");
        await test.agent.member.stop();
        test.store.mend();
        await assertTakenOver(test.agent, registry);
      }));

    Deno.test(`a take-over is done again when commit ${nth} of the registry fails: ${fault}`, () =>
      withHandover(async ({ registry, test }) => {
        registry.store.failAfter(nth, fault);
        test.agent.member.start(() => {});
        await becomes(test.agent, "joined");
        await test.agent.member.stop();
        registry.store.mend();
        await assertTakenOver(test.agent, registry);
      }));
  }
}

for (const [call, nth] of CALLS) {
  Deno.test(`a take-over is done again when the agent is killed at ${call} ${nth}`, () =>
    withHandover(async ({ registry, peer, test }) => {
      const reached = Promise.withResolvers<void>();
      let count = 0;
      peer.onCall = (made) => {
        if (made !== call || count++ !== nth) return;
        reached.resolve();
        // What is killed hears of nothing any more.
        return new Promise(() => {});
      };
      test.agent.member.start(() => {});
      await reached.promise;
      peer.onCall = () => {};
      const agent = await test.restart();
      agent.member.start(() => {});
      await becomes(agent, "joined");
      await agent.member.stop();
      await assertTakenOver(agent, registry);
    }));

  Deno.test(`a take-over is done again when the registry is cut off at ${call} ${nth}`, () =>
    withHandover(async ({ registry, peer, test: { agent } }) => {
      let count = 0;
      peer.onCall = (made) => {
        if (made !== call || count++ !== nth) return;
        throw new NetError("unavailable", "Cannot reach the agent");
      };
      agent.member.start(() => {});
      await becomes(agent, "joined");
      await agent.member.stop();
      await assertTakenOver(agent, registry);
    }));
}

Deno.test("a node gives out nothing while its addresses are taken over", () =>
  withHandover(async ({ registry, peer, test: { agent } }) => {
    const go = Promise.withResolvers<void>();
    peer.onCall = (call) => call === "handover" ? go.promise : undefined;
    agent.member.start(() => {});
    await waitFor("the handover", () => peer.calls.includes("handover"));
    await assert.rejects(allocate(agent, "new", { node: "b" }), {
      code: "unavailable",
    });
    await assert.rejects(allocate(registry.agent, "new", { node: "b" }), {
      code: "failed_precondition",
    });
    go.resolve();
    await becomes(agent, "joined");
    await agent.member.stop();
    await assertTakenOver(agent, registry);
  }));

Deno.test("a node that is removed while it takes its addresses over starts again with none", () =>
  withHandover(async ({ registry, peer, test: { agent } }) => {
    let isRemoved = false;
    peer.onCall = async (call) => {
      if (call !== "handover" || peer.calls.at(-2) !== call || isRemoved) {
        return;
      }
      isRemoved = true;
      await registry.agent.host!.pools.remove({
        ...{ node: "b", instanceId: "", force: true },
      });
    };
    agent.member.start(() => {});
    await waitFor("a refusal", () => agent.member.link.state === "fenced");
    await agent.member.stop();
    assert.deepEqual(agent.member.subnets, []);
    agent.member.start(() => {});
    await becomes(agent, "joined");
    await agent.member.stop();
    assert.deepEqual(await held(agent, "b"), {});
    assert.equal(await allocate(agent, "new", { node: "b" }), "172.16.0.2");
  }));

Deno.test("takeOver() takes a pool that is open for its own work, and leaves it alone", async () => {
  await using test = await startAgent();
  const key = poolKey("b");
  const value = { subnets: ["172.16.0.0/22"], cursors: ["172.16.0.9"] };
  await test.store.commit({ puts: [{ key, value }] });
  const subnets = [parsePrefix("172.16.4.0/22")];
  async function* pages(): AsyncGenerator<never> {}
  const has = await takeOver(test.store, "b", { subnets, pages: pages() });
  assert.deepEqual(has.map(formatPrefix), ["172.16.0.0/22"]);
  assert.deepEqual((await test.store.get(key))!.value, value);
});

Deno.test("NodePools.join() leaves a node that holds nothing nothing to take over", async () => {
  await using registry = await startAgent();
  await registry.agent.host!.registry.claim("b");
  const peer = new FakeRegistryPeer(registry.agent);
  await using test = await startAgent({ node: "b", peers: [peer] });
  test.agent.member.start(() => {});
  await becomes(test.agent, "joined");
  await test.agent.member.stop();
  assert.equal(peer.calls.includes("handover"), false);
  assert.equal(await registry.store.get(handoverKey("b")), null);
  const left = await Array.fromAsync(registry.store.list(addressKey("b")));
  assert.deepEqual(left, []);
});

Deno.test("takeOver() goes on behind what is held: what was released lately is not given at once", () =>
  withHandover(async ({ registry, test: { agent } }) => {
    await registry.agent.addresses.release("b", {
      owner: owner("c1"),
      reason: "test",
    });
    agent.member.start(() => {});
    await becomes(agent, "joined");
    await agent.member.stop();
    assert.equal(
      await allocate(agent, "new", { node: "b" }),
      `172.16.0.${2 + COUNT}`,
    );
  }));
