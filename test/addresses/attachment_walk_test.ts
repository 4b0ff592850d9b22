import assert from "node:assert/strict";
import fc from "fast-check";
import { NetError } from "../../src/base/error.ts";
import type { Agent } from "../../src/agent/agent.ts";
import type { FoundNamespace } from "../../src/net/namespace.ts";
import type { FakeReleaseQueue } from "../fake/fake_release_queue.ts";
import { formatAddress } from "../../src/net/address.ts";
import { networks, startAgent, type TestAgent } from "../agent/agents.ts";
import { owner } from "./plan/pools.ts";

const GRACE_MS = 100;
const RUNS = 100;
const IDS = ["a", "b", "c", "d", "e", "f", "g"];

/** Paths that several containers have, one after the other, as those of process ids. */
const SHARED_PATHS = [1, 2, 3].map((pid) => `/proc/${pid}/ns/net`);

const id = fc.constantFrom(...IDS);
/** What goes wrong with the next commit; whether the agent ends there and starts again. */
const trouble = fc.record({
  fault: fc.constantFrom(
    undefined,
    undefined,
    "refuse before" as const,
    "lose answer" as const,
  ),
  isCrash: fc.boolean(),
});
type Trouble = typeof trouble extends fc.Arbitrary<infer T> ? T : never;

/** A step of a walk. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant("start" as const),
    id,
    path: fc.constantFrom("own" as const, "new" as const, "shared" as const),
    trouble,
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
    trouble,
  }),
  fc.record({
    kind: fc.constantFrom(
      "apply" as const,
      "collect" as const,
      "gc" as const,
    ),
    trouble,
  }),
  fc.record({
    kind: fc.constantFrom(
      "restart" as const,
      "reboot" as const,
      "fill disk" as const,
      "free disk" as const,
    ),
  }),
  fc.record({
    kind: fc.constant("clock" as const),
    ms: fc.integer({ min: -500_000, max: 500_000 }),
  }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const NO_TROUBLE: Trouble = { fault: undefined, isCrash: false };

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
  /** Number of calls that failed. */
  failures = 0;
  #isFull = false;
  #boot = 1;
  #inode = 10;

  constructor(t: TestAgent, uptime: { ms: number }) {
    this.#t = t;
    this.#uptime = uptime;
    this.#agent = t.agent;
  }

  async start(
    id: string,
    path: "own" | "new" | "shared",
    trouble: Trouble,
  ): Promise<void> {
    if (this.running.has(id)) return;
    const inode = this.#inode++;
    const netns = this.#pathOf(path, { id, inode });
    this.#t.netns.set(netns, inode);
    const add = crypto.randomUUID();
    await this.#attempt(trouble, async () => {
      const { allocation } = await this.#agent.addresses.allocate("a", {
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
    }, (error) => {
      if (!trouble.fault && !this.#isFull) {
        assert.equal(error.code, "exhausted");
      }
      // As the plugin does, and the runtime after it.
      this.#queue(id, { undoes: add });
      this.#t.netns.set(netns, "gone");
    });
  }

  /** A path that no running container has. */
  #pathOf(
    path: "own" | "new" | "shared",
    { id, inode }: { readonly id: string; readonly inode: number },
  ): string {
    const used = [...this.running.values()].map(({ netns }) => netns);
    const shared = SHARED_PATHS.find((other) => !used.includes(other));
    if (path === "shared" && shared) return shared;
    return path === "own" ? `/run/netns/${id}` : `/run/netns/${id}-${inode}`;
  }

  /** Does what the agent or its store may fail in. */
  async #attempt(
    { fault, isCrash }: Trouble,
    run: () => Promise<unknown>,
    onFailure: (error: NetError) => void = () => {},
  ): Promise<void> {
    if (fault) this.#t.store.fail(fault);
    try {
      await run();
    } catch (error) {
      assert.ok(error instanceof NetError, String(error));
      this.failures++;
      onFailure(error);
    }
    this.#t.store.mend();
    if (fault && isCrash) await this.restart();
  }

  /** Queues a release, as the plugin does when the agent does not answer. */
  #queue(id: string, entry: Parameters<FakeReleaseQueue["push"]>[1]): void {
    if (!this.#isFull) this.#t.queue.push(owner(id), entry);
  }

  /** A second container with the id of a running one, which the runtime rolls back. */
  async twin(id: string): Promise<void> {
    if (!this.running.has(id)) return;
    const netns = `/run/netns/twin-${this.#inode}`;
    this.#t.netns.set(netns, this.#inode++);
    const request = { owner: owner(id), addresses: [], netns };
    await assert.rejects(
      this.#agent.addresses.allocate("a", request),
      ({ code }: NetError) =>
        code === "already_exists" ||
        // An earlier change of its owner may wait for room on the disk.
        this.#isFull && code === "unavailable",
    );
    await this.#agent.addresses.release("a", {
      owner: owner(id),
      reason: "CNI DEL",
      netns,
    });
    this.#t.netns.set(netns, "gone");
  }

  async end(
    id: string,
    del: "before" | "after" | "queued before" | "queued after" | "never",
    trouble: Trouble = NO_TROUBLE,
  ): Promise<void> {
    const run = this.running.get(id);
    if (!run) return;
    const { netns, inode } = run;
    this.running.delete(id);
    const bootId = `boot-${this.#boot}`;
    const there = { kind: "there", id: { inode, since: "mount 1" } } as const;
    const queue = (found: FoundNamespace) =>
      this.#queue(id, { netns, bootId, found });
    const release = (found: FoundNamespace) =>
      this.#attempt(trouble, () =>
        this.#agent.addresses.release("a", {
          owner: owner(id),
          reason: "CNI DEL",
          netns,
        }), () => queue(found));
    if (del === "before") await release(there);
    if (del === "queued before") queue(there);
    this.#t.netns.set(netns, "gone");
    if (del === "after") await release({ kind: "gone" });
    if (del === "queued after") queue({ kind: "gone" });
  }

  async apply(trouble: Trouble): Promise<void> {
    await this.#attempt(trouble, () => this.#agent.addresses.applyQueue());
  }

  async collect(trouble: Trouble): Promise<void> {
    this.#uptime.ms += GRACE_MS;
    await this.#attempt(trouble, () => this.#agent.addresses.collectLeaks());
  }

  /** GC of a runtime that knows its containers. */
  async gc(trouble: Trouble): Promise<void> {
    const keep = [...this.running.keys()].map((id) => owner(id));
    await this.#attempt(
      trouble,
      () => this.#agent.addresses.releaseOthers("a", owner("a").network, keep),
    );
  }

  fillDisk(): void {
    this.#isFull = true;
    this.#t.store.beforeCommit = () =>
      Promise.reject(new NetError("unavailable", "disk full"));
  }

  freeDisk(): void {
    this.#isFull = false;
    this.#t.store.beforeCommit = () => Promise.resolve();
  }

  /** Starts the agent again, which it does when its disk has room. */
  async restart(): Promise<void> {
    this.freeDisk();
    this.#agent = await this.#t.restart({ bootId: `boot-${this.#boot}` });
    await this.#agent.addresses.applyQueue();
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
      const held = await this.#agent.addresses.get("a", owner(id));
      assert.equal(
        held && formatAddress(held.addresses[0]!.address),
        address,
        id,
      );
    }
  }

  async held(): Promise<number> {
    return (await this.#agent.addresses.list("a", { limit: 99 })).length;
  }
}

async function walk(
  world: World,
  t: TestAgent,
  step: Step,
): Promise<void> {
  switch (step.kind) {
    case "start":
      return await world.start(step.id, step.path, step.trouble);
    case "twin":
      return await world.twin(step.id);
    case "end":
      return await world.end(step.id, step.del, step.trouble);
    case "clock":
      t.clock.nowMs = Math.max(1, t.clock.nowMs + step.ms);
      return;
    case "fill disk":
      return world.fillDisk();
    case "free disk":
      return world.freeDisk();
    case "restart":
    case "reboot":
      return await world[step.kind]();
    default:
      return await world[step.kind](step.trouble);
  }
}

Deno.test("no running container loses its address or shares it, and nothing leaks, on any walk", async () => {
  let starts = 0;
  let failures = 0;
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
          await walk(world, t, step);
          await world.check();
        }
        starts += world.starts;
        failures += world.failures;
        world.freeDisk();
        for (const id of IDS) await world.end(id, "never");
        await world.apply(NO_TROUBLE);
        for (let i = 0; i < 3; i++) await world.collect(NO_TROUBLE);
        assert.equal(await world.held(), 0);
      },
    ),
    { numRuns: RUNS },
  );
  // A walk on which nothing starts, or nothing fails, would prove nothing.
  assert.ok(starts > RUNS, `${starts} containers have started`);
  assert.ok(failures > RUNS, `${failures} calls have failed`);
});
