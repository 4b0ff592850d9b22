import assert from "node:assert/strict";
import {
  type Client,
  createClient,
  createRouterTransport,
} from "@connectrpc/connect";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import {
  IpamService,
  type WatchAllocationsResponse,
} from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { startAgent, type TestAgent } from "../../agent/agents.ts";

function clientOf({ agent }: TestAgent): Client<typeof IpamService> {
  return createClient(
    IpamService,
    createRouterTransport(
      (router) =>
        void router.service(IpamService, createIpam(agent, new OwnerCalls())),
      { router: { interceptors: [answerCalls({})] } },
    ),
  );
}

/** What a client knows of the allocations of nodes, by the rules of the proto. */
class Watcher implements AsyncDisposable {
  readonly held = new Map<string, Map<string, string>>();
  readonly revisions: Record<string, string> = {};
  readonly messages: WatchAllocationsResponse[] = [];
  readonly #end = new AbortController();
  readonly #running: Promise<void>;
  #parts: WatchAllocationsResponse[] = [];
  #changed = Promise.withResolvers<void>();

  constructor(
    client: Client<typeof IpamService>,
    request: Parameters<Client<typeof IpamService>["watchAllocations"]>[0],
  ) {
    this.#running = this.#run(
      client.watchAllocations(request, { signal: this.#end.signal }),
    );
  }

  /** Waits until a node's containers are these. */
  async sees(node: string, ...ids: string[]): Promise<void> {
    const expected = ids.sort().join(" ");
    const deadline = AbortSignal.timeout(60_000);
    for (;;) {
      const known = [...this.held.get(node)?.keys() ?? ["not known"]];
      if (known.sort().join(" ") === expected) return;
      deadline.throwIfAborted();
      const stop = Promise.withResolvers<void>();
      deadline.addEventListener("abort", () => stop.resolve());
      await Promise.race([this.#changed.promise, stop.promise]);
    }
  }

  async #run(stream: AsyncIterable<WatchAllocationsResponse>): Promise<void> {
    try {
      for await (const message of stream) this.#take(message);
    } catch {
      // The test has ended it.
    }
  }

  #take(message: WatchAllocationsResponse): void {
    this.messages.push(message);
    this.#parts.push(message);
    if (!message.more) {
      const { node, snapshot } = message;
      const now = snapshot ? new Map() : this.held.get(node) ?? new Map();
      for (const part of this.#parts) {
        for (const { owner, id } of part.allocations) {
          now.set(owner!.containerId, id);
        }
        for (const { owner } of part.removed) now.delete(owner!.containerId);
      }
      this.#parts = [];
      if (message.gone) this.held.delete(node);
      else if (message.problem === "") this.held.set(node, now);
      this.revisions[node] = message.revision;
    }
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}

Deno.test("WatchAllocations sends a snapshot, then changes, and resumes", async (t) => {
  await using agents = await startAgent();
  const client = clientOf(agents);
  const allocate = (id: string, labels = {}) =>
    client.allocate({ owner: { containerId: id }, labels });
  const release = (id: string) =>
    client.release({ owner: { containerId: id } });
  await allocate("c1");
  let revisions: Record<string, string> = {};
  await t.step("a snapshot, and changes", async () => {
    await using watcher = new Watcher(client, {});
    await watcher.sees("a", "c1");
    assert.ok(watcher.messages[0]!.snapshot);
    assert.ok(watcher.messages.at(-1)!.progress);
    assert.ok(watcher.messages.at(-1)!.asOf);
    await allocate("c2");
    await watcher.sees("a", "c1", "c2");
    await release("c1");
    await watcher.sees("a", "c2");
    const last = watcher.messages.at(-1)!;
    assert.deepEqual(last.removed.map(({ owner }) => owner!.containerId), [
      "c1",
    ]);
    await allocate("c2", { app: "web" });
    await allocate("c3");
    await watcher.sees("a", "c2", "c3");
    const told = watcher.messages.flatMap(({ allocations }) => allocations);
    assert.ok(told.some(({ labels }) => labels["app"] === "web"));
    assert.equal(
      watcher.messages.filter(({ snapshot }) => snapshot).length,
      1,
    );
    revisions = { ...watcher.revisions };
  });
  await t.step("what changed meanwhile, without a snapshot", async () => {
    await allocate("c4");
    await release("c4");
    await allocate("c5");
    await release("c2");
    await using watcher = new Watcher(client, { fromRevisions: revisions });
    await watcher.sees("a", "c5");
    assert.ok(watcher.messages.every(({ snapshot }) => !snapshot));
    const told = watcher.messages.flatMap(({ allocations }) => allocations);
    // Of each owner the last change only.
    assert.deepEqual(told.map(({ owner }) => owner!.containerId), ["c5"]);
  });
  await t.step(
    "a snapshot, where the revision is of another process",
    async () => {
      const restarted = { ...agents, agent: await agents.restart() };
      await using watcher = new Watcher(clientOf(restarted), {
        fromRevisions: revisions,
      });
      await watcher.sees("a", "c3", "c5");
      assert.ok(watcher.messages[0]!.snapshot);
    },
  );
});

Deno.test("WatchAllocations of all nodes follows nodes with and without an agent of their own", async () => {
  await using agents = await startAgent();
  const { agent } = agents;
  const client = clientOf(agents);
  await client.allocate({ owner: { containerId: "c1" } });
  await agent.requireHost().registry.claim("b");
  await using watcher = new Watcher(client, { allNodes: true });
  await watcher.sees("a", "c1");
  await client.allocate({ node: "b", owner: { containerId: "c2" } });
  await watcher.sees("b", "c2");
  await agent.requireHost().registry.claim("c");
  await client.allocate({ node: "c", owner: { containerId: "c3" } });
  await client.release({ node: "b", owner: { containerId: "c2" } });
  await watcher.sees("b");
  await watcher.sees("c", "c3");
  await watcher.sees("a", "c1");
});

Deno.test("WatchAllocations of a node without a subnet waits for its first allocation", async () => {
  await using agents = await startAgent();
  const client = clientOf(agents);
  await using watcher = new Watcher(client, {});
  await watcher.sees("a");
  await client.allocate({ owner: { containerId: "c1" } });
  await watcher.sees("a", "c1");
});
