import assert from "node:assert/strict";
import fc from "fast-check";
import { NetError } from "../../src/base/error.ts";
import type { Agent } from "../../src/agent/agent.ts";
import { formatAddress } from "../../src/net/address.ts";
import { networks, startAgent, type TestAgent } from "../agent/agents.ts";
import { owner } from "./plan/pools.ts";

const GRACE_MS = 100;
const RUNS = 100;
const IDS = ["a", "b", "c", "d", "e", "f", "g"];

const id = fc.constantFrom(...IDS);
/** A step of a walk. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant("start" as const),
    id,
    isSamePath: fc.boolean(),
    fault: fc.constantFrom(
      undefined,
      undefined,
      "refuse before" as const,
      "lose answer" as const,
    ),
  }),
  fc.record({ kind: fc.constant("twin" as const), id }),
  fc.record({
    kind: fc.constant("end" as const),
    id,
    del: fc.constantFrom(
      "before" as const,
      "after" as const,
      "queued before" as const,
      "queued after" as const,
      "never" as const,
    ),
  }),
  fc.record({
    kind: fc.constantFrom(
      "apply" as const,
      "collect" as const,
      "restart" as const,
      "reboot" as const,
    ),
  }),
  fc.record({
    kind: fc.constant("clock" as const),
    ms: fc.integer({ min: -500_000, max: 500_000 }),
  }),
);

/** Containers as they run, beside the agent that is told of them. */
class World {
  readonly running = new Map<
    string,
    { netns: string; inode: number; address: string }
  >();
  /** Number of successful ADDs. */
  starts = 0;
  readonly #t: TestAgent;
  readonly #uptime: { ms: number };
  #agent: Agent;
  #boot = 1;
  #inode = 10;

  constructor(t: TestAgent, uptime: { ms: number }) {
    this.#t = t;
    this.#uptime = uptime;
    this.#agent = t.agent;
  }

  async start(
    id: string,
    isSamePath: boolean,
    fault: "refuse before" | "lose answer" | undefined,
  ): Promise<void> {
    if (this.running.has(id)) return;
    const inode = this.#inode++;
    const netns = isSamePath ? `/run/netns/${id}` : `/run/netns/${id}-${inode}`;
    this.#t.netns.set(netns, inode);
    const add = crypto.randomUUID();
    if (fault) this.#t.store.fail(fault);
    try {
      const { allocation } = await this.#agent.allocate("a", {
        id: add,
        owner: owner(id),
        addresses: [],
        netns,
      });
      this.starts++;
      this.running.set(id, {
        netns,
        inode,
        address: formatAddress(allocation.addresses[0]!.address),
      });
    } catch (error) {
      assert.ok(error instanceof NetError, String(error));
      if (!fault) assert.equal(error.code, "exhausted");
      // As the plugin does, and the runtime after it.
      this.#t.queue.push(owner(id), { undoes: add });
      this.#t.netns.set(netns, "gone");
    }
    this.#t.store.mend();
  }

  /** A second container with the id of a running one, which the runtime rolls back. */
  async twin(id: string): Promise<void> {
    if (!this.running.has(id)) return;
    const netns = `/run/netns/twin-${this.#inode}`;
    this.#t.netns.set(netns, this.#inode++);
    const request = { owner: owner(id), addresses: [], netns };
    await assert.rejects(this.#agent.allocate("a", request), {
      code: "already_exists",
    });
    await this.#agent.release("a", {
      owner: owner(id),
      reason: "CNI DEL",
      netns,
    });
    this.#t.netns.set(netns, "gone");
  }

  async end(
    id: string,
    del: "before" | "after" | "queued before" | "queued after" | "never",
  ): Promise<void> {
    const run = this.running.get(id);
    if (!run) return;
    const { netns, inode } = run;
    this.running.delete(id);
    const bootId = `boot-${this.#boot}`;
    const release = () =>
      this.#agent.release("a", { owner: owner(id), reason: "CNI DEL", netns });
    if (del === "before") await release();
    if (del === "queued before") {
      this.#t.queue.push(owner(id), {
        netns,
        bootId,
        found: { kind: "there", id: { inode, since: "mount 1" } },
      });
    }
    this.#t.netns.set(netns, "gone");
    if (del === "after") await release();
    if (del === "queued after") {
      this.#t.queue.push(owner(id), { netns, bootId, found: { kind: "gone" } });
    }
  }

  async apply(): Promise<void> {
    await this.#agent.applyQueue();
  }

  async collect(): Promise<void> {
    this.#uptime.ms += GRACE_MS;
    await this.#agent.collectLeaks();
  }

  async restart(): Promise<void> {
    this.#agent = await this.#t.restart({ bootId: `boot-${this.#boot}` });
    await this.#agent.applyQueue();
  }

  async reboot(): Promise<void> {
    this.#boot++;
    this.running.clear();
    this.#t.netns.clear();
    await this.restart();
  }

  /** No running container shares its address, and each still holds it. */
  async check(): Promise<void> {
    const addresses = [...this.running.values()].map(({ address }) => address);
    assert.equal(new Set(addresses).size, addresses.length);
    for (const [id, { address }] of this.running) {
      const held = await this.#agent.get("a", owner(id));
      assert.equal(
        held && formatAddress(held.addresses[0]!.address),
        address,
        id,
      );
    }
  }

  async held(): Promise<number> {
    return (await this.#agent.list("a", { limit: 99 })).length;
  }
}

Deno.test("no running container loses its address or shares it, and nothing leaks, on any walk", async () => {
  let starts = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 60, size: "max" }),
      async (steps) => {
        const uptime = { ms: 0 };
        await using t = await startAgent({
          // Five addresses for seven containers: they give way to one another.
          networks: networks(["10.0.0.0/24", 29]),
          uptimeMs: () => uptime.ms,
        });
        const world = new World(t, uptime);
        for (const step of steps) {
          if (step.kind === "start") {
            await world.start(step.id, step.isSamePath, step.fault);
          } else if (step.kind === "twin") await world.twin(step.id);
          else if (step.kind === "end") await world.end(step.id, step.del);
          else if (step.kind === "clock") {
            t.clock.nowMs = Math.max(1, t.clock.nowMs + step.ms);
          } else await world[step.kind]();
          await world.check();
        }
        starts += world.starts;
        for (const id of IDS) await world.end(id, "never");
        await world.apply();
        for (let i = 0; i < 3; i++) await world.collect();
        assert.equal(await world.held(), 0);
      },
    ),
    { numRuns: RUNS },
  );
  // A walk on which nothing starts would prove nothing.
  assert.ok(starts > RUNS, `${starts} containers have started`);
});
