import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import * as grpc from "@grpc/grpc-js";
import { createIpamClient, type IpamClient } from "../support/ipam_client.ts";
import { createNamespace } from "../support/namespace.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

const CALLERS = 8;
/** Many intervals of the agent's periodic tasks, in ms. */
const QUIET_MS = 6_000;
/** Failures after which a caller takes the disk for full. */
const FAILURES = 5;

/** What came of calls: the addresses of each id, and the errors, each once. */
interface Outcome {
  readonly held: Map<string, string>;
  readonly errors: Set<string>;
}

/** Allocates for new ids, and releases now and then, until calls fail again and again, or `most` were made. */
async function work(
  client: IpamClient,
  { held, errors }: Outcome,
  { name, most }: { readonly name: string; readonly most: number },
): Promise<void> {
  await Promise.all(Array.from({ length: CALLERS }, async (_, caller) => {
    let failures = 0;
    for (let i = 0; i < most && failures < FAILURES; i++) {
      const id = `${name}-${caller}-${i}`;
      try {
        const [address] = await client.allocate(id);
        held.set(id, address!);
        if (i % 3 !== 0) continue;
        await client.release(id);
        held.delete(id);
      } catch (error) {
        const { code, details } = error as grpc.ServiceError;
        errors.add(`${grpc.status[code]} ${details}`);
        failures++;
      }
    }
  }));
}

async function fill(path: string): Promise<void> {
  const file = await Deno.open(path, { create: true, append: true });
  try {
    const block = new Uint8Array(4096);
    while (true) await file.write(block);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ENOSPC", `${error}`);
  } finally {
    file.close();
  }
}

/** Asks an agent whether it is ready. @returns status, and the reasons of failed checks by name */
async function readyz(
  url: string,
): Promise<readonly [number, Readonly<Record<string, string>>]> {
  const response = await fetch(`${url}/readyz`);
  const { checks } = await response.json() as {
    readonly checks: readonly {
      readonly name: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
  return [
    response.status,
    Object.fromEntries(
      checks.filter(({ status }) => status === "failed")
        .map(({ name, reason }) => [name, reason]),
    ),
  ];
}

Deno.test("an agent is not ready while every address of its subnet is held", async () => {
  await using agent = await spawnAgent({
    args: ["--network", "10.6.0.0/24", "--subnet-prefix", "29"],
  });
  using client = createIpamClient(agent.port);
  for (let i = 0; i < 5; i++) {
    assert.equal((await readyz(agent.url))[0], 200);
    await client.allocate(`c${i}`);
  }
  const [status, checks] = await readyz(agent.url);
  assert.equal(status, 503);
  assert.match(checks.subnet!, /exhausted/);
  await client.release("c0");
  assert.equal((await readyz(agent.url))[0], 200);
});

Deno.test("an agent on a full disk refuses changes, and continues when there is space", () =>
  withTempDir(async (dir) => {
    await using namespace = await createNamespace(
      "mount",
      `mount -t tmpfs -o size=12m none '${dir}'`,
    );
    await using agent = await spawnAgent({
      stateDir: `${dir}/state`,
      within: namespace.within,
      args: ["--network", "10.6.0.0/16", "--subnet-prefix", "16"],
    });
    const filler = namespace.pathOf(`${dir}/filler`);
    const outcome: Outcome = { held: new Map(), errors: new Set() };
    const list = async () => {
      using client = createIpamClient(agent.port);
      return (await client.list()).map(([id, [ip]]) => [id, ip]).sort();
    };
    using client = createIpamClient(agent.port);

    await work(client, outcome, { name: "before", most: 20 });
    assert.deepEqual([...outcome.errors], []);
    await fill(filler);
    await work(client, outcome, { name: "full", most: Infinity });
    assert.deepEqual([...outcome.errors], [
      `UNAVAILABLE Cannot write to the state file "${dir}/state/state.db": ` +
      "no space is left on the device; free some and try again",
    ]);
    assert.deepEqual(await list(), [...outcome.held].sort());
    const [status, checks] = await readyz(agent.url);
    assert.equal(status, 503);
    assert.match(checks.writes!, /no space is left on the device/);
    // The periodic tasks go on failing: the log says so once, not each time.
    const before = agent.stderr.length;
    await delay(QUIET_MS);
    const texts = agent.stderr.slice(before).split("\n").filter(Boolean)
      .map((line) => JSON.parse(line))
      .filter(({ level }) => level === "WARN" || level === "ERROR")
      .map(({ template, logger }) => `${logger}: ${template}`);
    assert.deepEqual(texts, [...new Set(texts)]);

    assert.equal(await agent.stop(), 0);
    await agent.start();
    assert.deepEqual(await list(), [...outcome.held].sort());

    await Deno.remove(filler);
    outcome.errors.clear();
    await work(client, outcome, { name: "after", most: 20 });
    assert.deepEqual([...outcome.errors], []);
    assert.equal((await readyz(agent.url))[0], 200);
    assert.deepEqual(await list(), [...outcome.held].sort());
    await agent.restart();
    assert.deepEqual(await list(), [...outcome.held].sort());
  }));
