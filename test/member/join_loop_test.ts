import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { type ClusterEvent, ClusterView } from "../../src/registry/feed.ts";
import { JoinLoop, type JoinLoopListener } from "../../src/member/join_loop.ts";
import { announceLeave, type RegistryPeer } from "../../src/registry/peer.ts";
import { sleep } from "../../src/base/retry.ts";
import { type ErrorCode, NetError } from "../../src/base/error.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { waitFor } from "../support/wait_for.ts";
import { startAgent } from "../agent/agents.ts";

const NODE = { node: "b", instanceId: "id-of-b" };

/** Keeps what it is told, as texts. */
class Listener implements JoinLoopListener {
  readonly heard: string[] = [];
  readonly events: ClusterEvent[] = [];
  readonly view = new ClusterView();

  request() {
    return {
      ...NODE,
      ...{ advertised: [], apiUrl: "", localPrefixes: [] },
      ...{ heldSubnets: [], clusterId: "" },
    };
  }

  onJoined({ url }: RegistryPeer): Promise<void> {
    this.heard.push(`joined ${url}`);
    return Promise.resolve();
  }

  onEvent(event: ClusterEvent): void {
    this.events.push(event);
  }

  onLost({ url }: RegistryPeer, { code }: NetError): void {
    this.heard.push(`lost ${url} ${code}`);
  }

  onRefused({ url }: RegistryPeer, { code }: NetError): Promise<void> {
    this.heard.push(`refused ${url} ${code}`);
    return Promise.resolve();
  }
}

/** A registry that answers every call with an error. */
function failing(url: string, code: ErrorCode): RegistryPeer {
  const fail = () => Promise.reject(new NetError(code, "no"));
  const failStream = async function* (): AsyncGenerator<never> {
    yield await fail();
  };
  return {
    url,
    ...{ join: fail, heartbeat: fail, leave: fail, finishHandover: fail },
    ...{ watch: failStream, handover: failStream, reportOwners: fail },
  };
}

/** Runs a loop until it has waited so often, and returns how long, in ms, and what it told. */
async function waits(
  peers: readonly RegistryPeer[],
  options: { readonly count: number; readonly random: number },
): Promise<{ waited: number[]; heard: string[] }> {
  const listener = new Listener();
  const waited: number[] = [];
  const enough = Promise.withResolvers<void>();
  const loop = new JoinLoop({
    ...{ peers, listener },
    random: () => options.random,
    async wait(ms, signal) {
      waited.push(ms);
      if (waited.length < options.count) return;
      enough.resolve();
      await sleep(3_600_000, signal);
    },
  });
  await enough.promise;
  await loop.stop();
  return { waited, heard: listener.heard };
}

Deno.test("JoinLoop waits twice as long after each failure, up to 5 s", async () => {
  const peers = [failing("x", "unavailable")];
  const longest = await waits(peers, { count: 8, random: 1 });
  assert.deepEqual(longest.waited, [
    ...[200, 400, 800, 1600, 3200],
    ...[5000, 5000, 5000],
  ]);
  const shortest = await waits(peers, { count: 7, random: 0 });
  assert.deepEqual(shortest.waited, [
    ...[100, 200, 400, 800, 1600],
    ...[2500, 2500],
  ]);
});

Deno.test("JoinLoop tries its peers in turn, those that refuse too", async () => {
  const { heard, waited } = await waits([
    failing("x", "unavailable"),
    failing("y", "failed_precondition"),
    failing("z", "already_exists"),
  ], { count: 4, random: 1 });
  assert.deepEqual(heard, [
    "lost x unavailable",
    "refused y failed_precondition",
    "refused z already_exists",
    "lost x unavailable",
  ]);
  assert.deepEqual(waited, [200, 5000, 5000, 400]);
});

Deno.test("JoinLoop treats a malformed answer as an unreachable registry", async () => {
  for (const code of ["deadline_exceeded", "cancelled"] as const) {
    const { heard } = await waits([failing("x", code)], {
      ...{ count: 1, random: 1 },
    });
    assert.deepEqual(heard, ["lost x unavailable"]);
  }
});

/** Runs a loop on the way to a registry, with short pauses. */
async function withLoop(
  use: (t: {
    readonly peers: readonly FakeRegistryPeer[];
    readonly listener: Listener;
    readonly loop: JoinLoop;
    readonly host: Awaited<ReturnType<typeof startAgent>>;
  }) => Promise<void>,
): Promise<void> {
  await using host = await startAgent();
  const peers = ["x", "y"].map((url) =>
    new FakeRegistryPeer(host.agent, { url })
  );
  const listener = new Listener();
  const loop = new JoinLoop({
    ...{ peers, listener, random: () => 0 },
    wait: (ms, signal) => sleep(Math.min(ms, 20), signal),
  });
  try {
    await waitFor("a snapshot", () => listener.events.length > 0);
    await use({ peers, listener, loop, host });
  } finally {
    await loop.stop();
  }
}

/** Waits until all that has changed was told. */
async function settle(host: Agent, { events }: Listener): Promise<void> {
  await host.host!.registry.claim("last");
  await waitFor(
    "the last change",
    () => events.at(-1)!.nodes.some(({ name }) => name === "last"),
  );
}

Deno.test("JoinLoop goes over to the next peer when the one that it follows is gone", async () => {
  await withLoop(async ({ peers, listener }) => {
    peers[0]!.cut();
    await waitFor("the other one", () => listener.heard.includes("joined y"));
    assert.deepEqual(listener.heard, [
      "joined x",
      "lost x unavailable",
      "joined y",
    ]);
    await waitFor("a snapshot", () => listener.events.length > 1);
    assert.deepEqual(listener.events.map((e) => e.isSnapshot), [true, true]);
  });
});

Deno.test("JoinLoop begins anew when a watch ends: the snapshot lacks what went meanwhile", async () => {
  await withLoop(async ({ peers, listener, host }) => {
    const names = () => listener.events.at(-1)!.nodes.map(({ name }) => name);
    await host.agent.host!.registry.claim("c");
    await waitFor("c", () => names().includes("c"));
    for (const peer of peers) peer.cut();
    await host.agent.host!.pools.release("c");
    await host.agent.host!.pools.remove({
      ...{ node: "c", instanceId: "", force: true },
    });
    for (const peer of peers) peer.mend();
    const before = listener.events.length;
    await waitFor("a snapshot", () => listener.events.length > before);
    assert.equal(listener.events.at(-1)!.isSnapshot, true);
    assert.deepEqual(names(), ["a", "b"]);
  });
});

Deno.test("JoinLoop joins the same registry again when that does not know the node", async () => {
  await withLoop(async ({ listener, host }) => {
    const { pools, nodes: members } = host.agent.host!;
    await pools.remove({ node: "b", instanceId: "", force: true });
    await waitFor("another join", () => listener.heard.length >= 3);
    assert.deepEqual(listener.heard, [
      "joined x",
      "lost x not_found",
      "joined x",
    ]);
    const nodes = await members.list();
    assert.deepEqual(nodes.map(({ name }) => name), ["a", "b"]);
    await settle(host.agent, listener);
  });
});

Deno.test("JoinLoop.joinAgain() joins at once, and goes on with the same watch", async () => {
  await withLoop(async ({ peers, listener, loop, host }) => {
    const { calls } = peers[0]!;
    await waitFor("a heartbeat", () => calls.includes("heartbeat"));
    loop.joinAgain();
    await waitFor("another join", () => listener.heard.length === 2);
    assert.deepEqual(listener.heard, ["joined x", "joined x"]);
    assert.equal(calls.filter((call) => call === "watch").length, 1);
    await settle(host.agent, listener);
  });
});

Deno.test("JoinLoop.beatSoon() sends the next heartbeat at once, and joins no more", async () => {
  await withLoop(async ({ peers, listener, loop, host }) => {
    const beats = () =>
      peers[0]!.calls.filter((call) => call === "heartbeat").length;
    await waitFor("a heartbeat", () => beats() === 1);
    loop.beatSoon();
    await waitFor("the next one", () => beats() === 2);
    loop.beatSoon();
    await waitFor("one more", () => beats() === 3);
    assert.deepEqual(listener.heard, ["joined x"]);
    await settle(host.agent, listener);
  });
});

Deno.test("JoinLoop goes on when the registry limits its changes, and joins again later", async () => {
  await withLoop(async ({ peers, listener, loop }) => {
    const [peer] = peers;
    await waitFor("a heartbeat", () => peer!.calls.includes("heartbeat"));
    let limited = 0;
    peer!.onCall = (call) => {
      if (call !== "join" || limited >= 2) return;
      limited++;
      throw new NetError("exhausted", "later", { reason: "CLIENT_LIMIT" });
    };
    loop.joinAgain();
    await waitFor("another join", () => listener.heard.length === 2);
    assert.equal(limited, 2);
    assert.deepEqual(listener.heard, ["joined x", "joined x"]);
    assert.equal(peer!.calls.filter((call) => call === "watch").length, 1);
    const joins = peer!.calls.filter((call) => call !== "watch");
    assert.deepEqual(joins.slice(0, 7), [
      ...["join", "heartbeat", "join", "heartbeat"],
      ...["join", "heartbeat", "join"],
    ]);
  });
});

Deno.test("JoinLoop.stop() ends it whatever it is waiting for", async () => {
  await withLoop(async ({ peers, loop }) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    peers[0]!.onCall = () => {
      asked.resolve();
      return answer.promise;
    };
    loop.joinAgain();
    await asked.promise;
    const stopped = loop.stop();
    answer.resolve();
    await stopped;
    assert.equal(peers[0]!.calls.at(-1), "join");
    assert.deepEqual(peers[1]!.calls, []);
  });
});

Deno.test("JoinLoop gives a registry that does not answer 5 s", async () => {
  using timeouts = new EndedTimeouts(5_000);
  const hanging: RegistryPeer = {
    ...failing("http://x", "unavailable"),
    join: (_, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener(
          "abort",
          () => reject(new NetError("deadline_exceeded", "late")),
        )
      ),
  };
  const listener = new Listener();
  const loop = new JoinLoop({
    peers: [hanging],
    listener,
    random: () => 1,
  });
  timeouts.end();
  await waitFor("a loss", () => listener.heard.length > 0, {
    timeoutMs: 3_000,
  });
  assert.equal(listener.heard[0], "lost http://x unavailable");
  await loop.stop();
});

for (
  const [count, timeoutMs] of [[1, 6_000], [3, 2_000], [100, 1_000]] as const
) {
  Deno.test(`announceLeave() gives each of ${count} registries ${timeoutMs} ms`, async () => {
    using timeouts = new EndedTimeouts(timeoutMs);
    const asked: string[] = [];
    const peers = Array.from({ length: count }, (_, i): RegistryPeer => ({
      ...failing(`http://${i}`, "unavailable"),
      leave: (_, signal) =>
        new Promise((_resolve, reject) => {
          asked.push(`http://${i}`);
          signal.addEventListener(
            "abort",
            () => reject(new NetError("unavailable", "late")),
          );
          timeouts.end();
        }),
    }));
    await assert.rejects(announceLeave(peers, NODE, ""), {
      code: "unavailable",
    });
    assert.equal(asked.length, count);
  });
}

/** Time limits of one length that end when the test says so. */
class EndedTimeouts implements Disposable {
  readonly #real = AbortSignal.timeout;
  #open: AbortController[] = [];

  constructor(heldMs: number) {
    AbortSignal.timeout = (ms) => {
      if (ms !== heldMs) return this.#real.call(AbortSignal, ms);
      const end = new AbortController();
      this.#open.push(end);
      return end.signal;
    };
  }

  end(): void {
    for (const end of this.#open.splice(0)) end.abort();
  }

  [Symbol.dispose](): void {
    AbortSignal.timeout = this.#real;
  }
}
