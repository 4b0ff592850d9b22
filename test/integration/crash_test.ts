import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Allocator } from "../../src/addresses/allocator.ts";
import { formatAddress } from "../../src/net/address.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { createIpamClient, type IpamClient } from "../support/ipam_client.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

const NODE = "node1";
const KILLS = 50;
/** Every so many-th kill comes while the agent is starting. */
const KILL_AT_START_EVERY = 10;
const CLIENTS = 4;
/** Of each client, at once. */
const CALLERS = 4;
const IDS_PER_CALLER = 6;
const MAX_LOAD_MS = 200;
const MAX_LOAD_ANSWERS = 200;
const MAX_START_MS = 500;

/** What is known of an id: under way means that a call for it was not answered. */
interface Belief {
  readonly addresses: readonly string[];
  readonly underWay?: "allocate" | "release";
}

type Beliefs = Map<string, Belief>;

const FREE: Belief = { addresses: [] };

/** One caller: allocates and releases at random until the agent is gone. */
async function load(
  client: IpamClient,
  ids: readonly string[],
  { beliefs, killed, onAnswer }: {
    readonly beliefs: Beliefs;
    readonly killed: AbortSignal;
    readonly onAnswer: () => void;
  },
): Promise<void> {
  while (true) {
    const id = ids[Math.floor(Math.random() * ids.length)]!;
    const { addresses } = beliefs.get(id)!;
    const underWay = Math.random() < 0.5 ? "allocate" : "release";
    beliefs.set(id, { addresses, underWay });
    try {
      const answer = await client[underWay](id);
      if (underWay === "release" || addresses.length > 0) {
        assert.deepEqual(answer, addresses, `${underWay} ${id}`);
      } else {
        assert.equal(answer.length, 2, `${answer} is not one of each network`);
      }
      const now = underWay === "allocate" ? { addresses: answer } : FREE;
      beliefs.set(id, now);
      onAnswer();
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      // UNAVAILABLE or INTERNAL, as grpc-js met the end of the connection.
      assert.ok(killed.aborted, `${error}`);
      return;
    }
  }
}

/**
 * Puts a running agent under load and kills it in the midst of it: after a
 * time, or at once when a client has got an answer, which has to be durable by
 * then. Returns how many calls were answered.
 */
async function killUnderLoad(
  agent: SpawnedAgent,
  beliefs: Beliefs,
  { atAnswer }: { readonly atAnswer: boolean },
): Promise<number> {
  const ids = [...beliefs.keys()];
  const killed = new AbortController();
  const ended = Promise.withResolvers<number>();
  const kill = () => {
    if (killed.signal.aborted) return;
    killed.abort();
    agent.kill("SIGKILL").then(ended.resolve, ended.reject);
  };
  const killAt = 1 + Math.floor(Math.random() * MAX_LOAD_ANSWERS);
  let answered = 0;
  const onAnswer = () => {
    if (++answered === killAt && atAnswer) kill();
  };
  const clients = Array.from(
    { length: CLIENTS },
    () => createIpamClient(agent.port),
  );
  const work = Promise.all(
    clients.flatMap((client) =>
      Array.from(
        { length: CALLERS },
        () =>
          load(client, ids.splice(0, IDS_PER_CALLER), {
            beliefs,
            killed: killed.signal,
            onAnswer,
          }),
      )
    ),
  );
  if (!atAnswer) {
    await Promise.race([work, delay(Math.random() * MAX_LOAD_MS)]);
    kill();
  }
  await work;
  assert.equal(await ended.promise, 137);
  for (const client of clients) client[Symbol.dispose]();
  return answered;
}

/** Kills an agent while it starts. */
async function killAtStart(agent: SpawnedAgent): Promise<void> {
  const started = agent.start().catch(() => {});
  await delay(Math.random() * MAX_START_MS);
  assert.equal(await agent.kill("SIGKILL"), 137);
  await started;
}

/** What a copy of a killed agent's state file holds: id and addresses. */
function readCopy(stateDir: string): Promise<[string, string[]][]> {
  return withTempDir(async (dir) => {
    for await (const { name, isFile } of Deno.readDir(stateDir)) {
      if (isFile) await Deno.copyFile(`${stateDir}/${name}`, `${dir}/${name}`);
    }
    const store = await openDenoKv({ path: `${dir}/state.db` });
    try {
      const now = () => 0;
      const allocator = new Allocator({
        store,
        node: NODE,
        coolDownMs: 0,
        now,
      });
      const held = await allocator.list({ limit: Infinity });
      return held.map(({ owner, addresses }) => [
        owner.containerId,
        addresses.map(({ address }) => formatAddress(address)),
      ]);
    } finally {
      await store.close();
    }
  });
}

/** Holds a list against what is known, and takes over what became of the calls that were under way. */
function verify(
  held: readonly (readonly [id: string, addresses: string[]])[],
  beliefs: Beliefs,
): void {
  const addresses = held.flatMap(([, addresses]) => addresses);
  assert.equal(new Set(addresses).size, addresses.length, "held twice");
  const found = new Map(held);
  assert.equal(found.size, held.length, "one id, two allocations");
  const unknown = [...found.keys()].filter((id) => !beliefs.has(id));
  assert.deepEqual(unknown, []);
  for (const [id, belief] of beliefs) {
    const has = found.get(id) ?? [];
    assert.ok([0, 2].includes(has.length), `${id} holds half: ${has}`);
    assert.ok(
      isPossible(has, belief),
      `${id}: ${JSON.stringify(belief)} and then ${JSON.stringify(has)}`,
    );
    beliefs.set(id, { addresses: has });
  }
}

function isPossible(
  has: readonly string[],
  { addresses, underWay }: Belief,
): boolean {
  if (has.join() === addresses.join()) return true;
  if (underWay === "allocate") return addresses.length === 0;
  return underWay === "release" && has.length === 0;
}

Deno.test({
  name:
    "an agent that is killed fifty times under load gives no address twice and loses none that it answered",
  // grpc-js leaves the timers of its next tries to connect behind.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const args = ["--network", "10.7.0.0/24", "--subnet-prefix", "24"]
      .concat("--network", "fd07::/48");
    await using agent = await spawnAgent({ node: NODE, args });
    const beliefs: Beliefs = new Map();
    for (let i = 0; i < CLIENTS * CALLERS * IDS_PER_CALLER; i++) {
      beliefs.set(`id${i}`, FREE);
    }
    let answered = 0;
    let underWay = 0;
    for (let kill = 1; kill <= KILLS; kill++) {
      if (kill % KILL_AT_START_EVERY === 0) {
        await agent.stop();
        await killAtStart(agent);
      } else {
        const atAnswer = kill % 3 !== 0;
        answered += await killUnderLoad(agent, beliefs, { atAnswer });
      }
      underWay += [...beliefs.values()].filter((b) => b.underWay).length;
      const copied = await readCopy(agent.stateDir);
      await agent.start();
      using client = createIpamClient(agent.port);
      const held = await client.list();
      assert.deepEqual(held, copied);
      verify(held, beliefs);
    }
    assert.ok(answered > KILLS * 10, `only ${answered} calls were answered`);
    assert.ok(underWay > KILLS, `only ${underWay} calls were cut off`);
    const logged = agent.stderr.trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.deepEqual(logged.filter(({ level }) => level !== "INFO"), []);

    using client = createIpamClient(agent.port);
    for (const [id, { addresses }] of beliefs) {
      if (addresses.length === 0) continue;
      assert.deepEqual(await client.allocate(id), addresses);
    }
    for (
      const address of new Set(
        [...beliefs.values()].flatMap((b) => b.addresses),
      )
    ) {
      const tenures = (await client.history(address)).toReversed();
      for (const [i, { releasedAtMs }] of tenures.slice(0, -1).entries()) {
        assert.ok(releasedAtMs! <= tenures[i + 1]!.allocatedAtMs, address);
      }
      assert.equal(tenures.at(-1)!.releasedAtMs, undefined);
    }
  },
});
