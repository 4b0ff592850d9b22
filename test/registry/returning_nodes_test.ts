import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { waitFor } from "../support/wait_for.ts";
import { startAgent, type TestAgent } from "../agent/agents.ts";

/** The waits of a registry: they last until the test, or a signal, ends them. */
class Waits {
  /** Their lengths in ms. */
  readonly lengths: number[] = [];
  /** Called at the begin of each: whether it ends at once. */
  passes: (ms: number) => boolean = () => false;

  readonly wait = (ms: number, signal: AbortSignal): Promise<void> => {
    this.lengths.push(ms);
    if (signal.aborted || this.passes(ms)) return Promise.resolve();
    return new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve())
    );
  };
}

/** Joins a node, and returns its subnets. */
async function join(
  agent: Agent,
  node: string,
  options: { revision?: number; held?: string[] } = {},
): Promise<string> {
  const { revision = 0, held = [] } = options;
  const { subnets } = await agent.host!.pools.join({
    ...{ node, instanceId: `id-of-${node}`, advertised: [], apiUrl: "" },
    ...{ localPrefixes: [], clusterId: "", revision },
    heldSubnets: held.map(parsePrefix),
  });
  return subnets.map(formatPrefix).join(" ");
}

async function claim(agent: Agent, node: string): Promise<string> {
  return (await agent.host!.registry.claim(node)).map(formatPrefix).join(" ");
}

/** The registry of the nodes "a", its own, and "b" and "c", after a restart. */
async function restarted(
  body: (t: TestAgent, agent: Agent, waits: Waits) => Promise<void>,
): Promise<void> {
  const waits = new Waits();
  await using t = await startAgent({ wait: waits.wait });
  await join(t.agent, "b");
  await join(t.agent, "c");
  await body(t, await t.restart(), waits);
}

Deno.test("a new node waits for its subnet until every known node has joined again", () =>
  restarted(async (_, agent, waits) => {
    const order: string[] = [];
    const note = (what: string) => (subnets: string) => {
      order.push(what);
      return subnets;
    };
    const waiting = [
      join(agent, "d").then(note("d")),
      claim(agent, "api").then(note("api")),
    ];
    await waitFor("both to wait", () => waits.lengths.length === 2);
    // A join waits for less than its caller does.
    assert.deepEqual(waits.lengths.toSorted((a, b) => a - b), [4_000, 15_001]);
    await join(agent, "b").then(note("b"));
    // It tells no revision.
    await agent.host!.nodes.heartbeat("c", "id-of-c");
    // Other changes of the registry go on.
    await agent.host!.registry.addRoute({
      destination: parsePrefix("192.0.2.0/24"),
      target: parseAddress("198.18.0.9"),
    });
    order.push("route");
    await join(agent, "c").then(note("c"));
    assert.deepEqual((await Promise.all(waiting)).sort(), [
      "172.16.12.0/22",
      "172.16.16.0/22",
    ]);
    assert.deepEqual(order.slice(0, 2), ["b", "route"]);
    assert.deepEqual(order.toSorted(), ["api", "b", "c", "d", "route"]);
    assert.equal(waits.lengths.length, 2);
  }));

Deno.test("a node that is removed is not waited for", () =>
  restarted(async (_, agent, waits) => {
    const waiting = join(agent, "d");
    await waitFor("it to wait", () => waits.lengths.length === 1);
    for (const node of ["b", "c"]) {
      await agent.host!.pools.remove({ node, instanceId: "", force: true });
    }
    assert.match(await waiting, /^172\.16\./);
  }));

Deno.test("a known node gets the subnets that it has at once after a restart", () =>
  restarted(async (_, agent, waits) => {
    assert.equal(await claim(agent, "b"), "172.16.4.0/22");
    assert.equal(await join(agent, "b"), "172.16.4.0/22");
    assert.equal(
      await join(agent, "c", { held: ["172.16.8.0/22"] }),
      "172.16.8.0/22",
    );
    assert.deepEqual(waits.lengths, []);
  }));

Deno.test("a new node learns which nodes it waits for, and gets its subnet without them after 15 s", () =>
  restarted(async (t, agent, waits) => {
    waits.passes = (ms) => {
      t.clock.nowMs += ms;
      return true;
    };
    for (const left of ["11", "7", "3"]) {
      await assert.rejects(join(agent, "d"), {
        details: { reason: "RESTORE_GRACE", metadata: undefined },
        code: "unavailable",
        message:
          `Cannot give node "d" a subnet yet: the registry has just started, and these nodes have not joined again: "b", "c"; a new node gets one when they have, or in ${left} s`,
      });
    }
    assert.equal(await join(agent, "d"), "172.16.12.0/22");
    assert.deepEqual(waits.lengths, [4_000, 4_000, 4_000, 3_001]);
    assert.equal(await claim(agent, "api"), "172.16.16.0/22");
    assert.equal(waits.lengths.length, 4);
  }));

Deno.test("a registry without other agents gives a new node its subnet at once", async () => {
  const waits = new Waits();
  await using t = await startAgent({ wait: waits.wait });
  await claim(t.agent, "api");
  const agent = await t.restart();
  await join(agent, "b");
  await claim(agent, "api-2");
  assert.deepEqual(waits.lengths, []);
});

Deno.test("an old copy of a registry gives no subnet of a later node to a new one that comes first", async () => {
  const waits = new Waits();
  await using t = await startAgent({ wait: waits.wait });
  await join(t.agent, "b");
  const copy = await Array.fromAsync(t.store.list([]));
  assert.equal(await join(t.agent, "c"), "172.16.8.0/22");
  const { revision } = await t.agent.host!.nodes.snapshot();
  const now = await Array.fromAsync(t.store.list([]));
  await t.store.commit({
    deletes: now.map(({ key }) => key),
  });
  await t.store.commit({
    puts: copy.map(({ key, value }) => ({ key, value })),
  });
  const agent = await t.restart();
  const waiting = join(agent, "d");
  const refused = assert.rejects(waiting, {
    code: "unavailable",
    message: /the registry was restored/,
  });
  await waitFor("it to wait", () => waits.lengths.length === 1);
  assert.equal(await join(agent, "b", { revision }), "172.16.4.0/22");
  await refused;
  const held = ["172.16.8.0/22"];
  assert.equal(await join(agent, "c", { revision, held }), "172.16.8.0/22");
});

Deno.test("the registry's own node waits for its subnet as others do, and nobody waits for it", () =>
  restarted(async (t, agent, waits) => {
    await agent.host!.pools.release("a");
    const again = await t.restart();
    assert.equal(await join(again, "b"), "172.16.4.0/22");
    await assert.rejects(again.member.checkClaim(), { code: "unavailable" });
    assert.deepEqual(waits.lengths, []);
    const waiting = again.member.claim();
    await waitFor("it to wait", () => waits.lengths.length === 1);
    await join(again, "c");
    assert.deepEqual((await waiting).map(formatPrefix), ["172.16.0.0/22"]);
  }));

Deno.test("Member.stop() ends the wait for a subnet", () =>
  restarted(async (_, agent, waits) => {
    const refused = assert.rejects(claim(agent, "api"), {
      code: "unavailable",
    });
    await waitFor("it to wait", () => waits.lengths.length === 1);
    await agent.member.stop();
    await refused;
  }));
