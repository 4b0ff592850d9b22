import assert from "node:assert/strict";
import { allDone } from "../support/all_done.ts";
import { createRandom, type History } from "./history.ts";
import type { LabHost } from "./lab_host.ts";

/** Nodes without an agent. */
const API_NODES = ["api1", "api2"];
/** The flags of agents that create the cluster of a walk: one in which subnets are few. */
export const FEW_SUBNETS = [
  "--network",
  "10.0.0.0/24",
  "--subnet-prefix",
  "28",
];
const SLICES = Array.from({ length: 16 }, (_, i) => `10.0.0.${i * 16}/28`);
const OPERATIONS_A_BATCH = 30;

export type Operation = (history: History, pick: Pick) => Promise<unknown>;
/** Picks one at random. */
export type Pick = <T>(choices: readonly T[]) => T;

/** What may happen, and how often. */
export type Weighed = readonly [weight: number, name: string, run: Operation];

/** The hosts that have joined: the first hosts the registry. */
const joinersOf = ({ hosts }: History) => hosts.slice(1);
const runningOf = ({ hosts }: History) =>
  hosts.filter(({ agent }) => agent.isRunning);

/** What may happen, and how often. */
const OPERATIONS: readonly Weighed[] = [
  [12, "allocate", async (h, pick) => {
    const host = pick(runningOf(h));
    await h.allocate(host, host.name);
  }],
  [3, "allocate elsewhere", async (h, pick) => {
    const node = pick([...h.hosts.map(({ name }) => name), ...API_NODES]);
    await h.allocate(pick(runningOf(h)), node);
  }],
  [5, "release", async (h, pick) => {
    await h.release(pick(runningOf(h)), pick([...h.promised.keys(), "api1"]));
  }],
  [2, "kill", (h, pick) => pick(joinersOf(h)).agent.kill()],
  [1, "stop", (h, pick) => pick(joinersOf(h)).agent.stop()],
  [4, "start", (h, pick) => {
    const { agent } = pick(joinersOf(h));
    if (!agent.isRunning) agent.spawn();
    return Promise.resolve();
  }],
  [1, "restart the registry", async (h) => {
    await h.lab.host(1).agent.kill();
    await h.lab.host(1).agent.start();
  }],
  [
    2,
    "partition",
    (h, pick) => h.lab.partition(h.lab.host(1), pick(joinersOf(h))),
  ],
  [1, "heal", (h) => h.lab.heal()],
  [2, "remove", async (h, pick) => {
    const node = pick([...joinersOf(h).map(({ name }) => name), ...API_NODES]);
    const removed = await h.change((registry) =>
      registry.removeNode({ node, force: true })
    );
    // An agent keeps what it has; without one it is gone.
    const isGone = !(removed instanceof Error) || removed.code === "not_found";
    if (isGone && API_NODES.includes(node)) h.forget(node);
  }],
  [1, "steal", async (h, pick) => {
    const host = pick(joinersOf(h));
    await host.agent.kill();
    const removed = await h.change((registry) =>
      registry.removeNode({ node: host.name, force: true })
    );
    if (removed instanceof Error) return;
    for (const cidr of removed.subnets) {
      await must(h.change((r) => r.reserveSubnet({ cidr, reason: "stolen" })));
      h.reserved.add(cidr);
    }
  }],
  [1, "leave", async (h, pick) => {
    const host = pick(joinersOf(h));
    if (host.agent.isRunning) await h.leave(host);
  }],
  [
    2,
    "claim",
    (h, pick) =>
      h.change((registry) => registry.claimSubnets({ node: pick(API_NODES) })),
  ],
  [
    1,
    "give up",
    (h, pick) =>
      h.change((registry) =>
        registry.releaseSubnets({ node: pick(API_NODES) })
      ),
  ],
  [2, "reserve", async (h, pick) => {
    if (h.reserved.size > 4) return;
    const cidr = pick(SLICES);
    const node = pick(["", "host3", "api1"]);
    const done = await h.change((r) => r.reserveSubnet({ cidr, node }));
    if (!(done instanceof Error)) h.reserved.add(cidr);
  }],
  [2, "unreserve", async (h, pick) => {
    const cidr = pick([...h.reserved, SLICES[0]!]);
    await must(h.change((registry) => registry.unreserveSubnet({ cidr })));
    h.reserved.delete(cidr);
  }],
  [3, "add a route", async (h, pick) => {
    const cidr = `10.200.${pick([1, 2, 3, 4])}.0/24`;
    const target = pick(h.hosts).address;
    const done = await h.change((r) => r.addRoute({ cidr, target }));
    if (!(done instanceof Error)) h.extra.set(cidr, target);
  }],
  [2, "delete a route", async (h, pick) => {
    const cidr = pick([...h.extra.keys(), "10.200.1.0/24"]);
    await must(h.change((registry) => registry.deleteRoute({ cidr })));
    h.extra.delete(cidr);
  }],
];

/** Checks that nothing belongs to two and nothing that was promised is lost. */
async function checkAddresses(
  history: History,
  members: readonly LabHost[],
): Promise<void> {
  const nodes = await history.nodes();
  const owned = nodes.flatMap(({ subnets }) => subnets);
  assert.equal(
    new Set(owned).size,
    owned.length,
    `${owned}: one has two nodes`,
  );
  const holders = new Map<string, string>();
  for (const { name, subnets } of nodes) {
    const host = members.find((member) => member.name === name);
    if (host) {
      assert.deepEqual((await history.stateOf(host)).subnets, subnets, name);
    }
    if (!host && !API_NODES.includes(name)) continue;
    const held = await history.heldOn(history.lab.host(1), name);
    for (const [id, address] of held) {
      const other = holders.get(address);
      assert.equal(other, undefined, `${address} is held on ${name} by ${id}`);
      holders.set(address, `${id} on ${name}`);
    }
    for (const [id, address] of history.promised.get(name) ?? []) {
      assert.equal(held.get(id), address, `${id} on ${name}`);
    }
  }
}

async function must(call: Promise<unknown>): Promise<void> {
  const result = await call;
  if (result instanceof Error) throw result;
}

/** Fewer say too little, however slow the machine is. */
const LEAST_OPERATIONS = 100;

export interface WalkOptions {
  /** What may happen besides the usual. Default: nothing. */
  readonly more?: readonly Weighed[];
  /** Undoes what of that keeps a cluster from coming to rest. */
  readonly mend?: () => Promise<unknown>;
  readonly batches: number;
  /** No batch is begun after that, once enough has happened. */
  readonly timeLimitMs: number;
}

/**
 * Has random things happen to a cluster, batch by batch. After each it comes to
 * rest, and nothing belongs to two, nothing is lost, and kernels follow the
 * registry. The environment's SEED decides what happens, if it is there.
 */
export async function walkHistory(
  t: Deno.TestContext,
  history: History,
  { more = [], mend, batches, timeLimitMs }: WalkOptions,
): Promise<void> {
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1_000_000);
  console.log(`SEED=${seed}`);
  const random = createRandom(seed);
  const pick: Pick = (choices) =>
    choices[Math.floor(random() * choices.length)]!;
  const bag = [...OPERATIONS, ...more].flatMap(([weight, name, run]) =>
    Array.from({ length: weight }, () => [name, run] as const)
  );
  const { lab, hosts } = history;
  const start = performance.now();
  let operations = 0;
  for (let batch = 0; batch < batches; batch++) {
    const isLate = performance.now() - start > timeLimitMs;
    if (isLate && operations >= LEAST_OPERATIONS) break;
    const done: string[] = [];
    await t.step(`batch ${batch}`, async () => {
      try {
        for (let i = 0; i < OPERATIONS_A_BATCH; i++, operations++) {
          const [name, run] = pick(bag);
          done.push(name);
          await run(history, pick);
        }
        await mend?.();
        const members = await history.rest();
        const quiet = performance.now();
        await allDone(members.map((host) =>
          lab.waitFor(
            `the routes of ${host.name}`,
            async () =>
              (await host.routes()).join("\n") ===
                history.routesOf(host, await history.nodes()),
          )
        ));
        const tookMs = Math.round(performance.now() - quiet);
        console.log(
          `  ${members.length} of ${hosts.length} in it, routes right ${tookMs} ms after all was quiet`,
        );
        await checkAddresses(history, members);
        // Those that are fenced come back as new ones.
        for (const host of hosts.filter((h) => !members.includes(h))) {
          await history.leave(host);
        }
      } catch (error) {
        throw new Error(`after ${done.join(", ")}; SEED=${seed}`, {
          cause: error,
        });
      }
    });
  }
  console.log(
    `${operations} operations in ${Math.round(performance.now() - start)} ms`,
  );
}
