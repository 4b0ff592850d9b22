import type { AddressUser } from "../../src/addresses/neighbours.ts";
import { Agent } from "../../src/agent/agent.ts";
import type { AgentOptions } from "../../src/agent/open_member.ts";
import type { AllocationRequest } from "../../src/addresses/plan/allocation_plan.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { type Carve, createCarve } from "../../src/net/carve.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { FoundNamespace } from "../../src/net/namespace.ts";
import { FakeReleaseQueue } from "../fake/fake_release_queue.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { owner } from "../addresses/plan/pools.ts";

/** An agent on a store in memory, with a clock that the test sets. */
export interface TestAgent extends AsyncDisposable {
  readonly agent: Agent;
  readonly store: FaultyStore;
  readonly clock: { nowMs: number };
  /** What the host knows of namespaces; all others are gone. */
  readonly netns: Map<string, NetnsState>;
  readonly queue: FakeReleaseQueue;
  /** The addresses in use on the host, and by whom. */
  readonly inUse: Map<string, AddressUser>;
  /** The host's end of a container's link, by its network namespace. */
  readonly ports: Map<string, string>;
  /** Another agent on the same store, as after a restart. */
  restart(options?: Partial<AgentOptions>): Promise<Agent>;
}

/** Starts an agent of the node "a". */
export async function startAgent(
  options: Partial<AgentOptions> = {},
): Promise<TestAgent> {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const clock = { nowMs: 1_000_000 };
  const netns = new Map<string, NetnsState>();
  const queue = new FakeReleaseQueue();
  const inUse = new Map<string, AddressUser>();
  const ports = new Map<string, string>();
  const start = (more: Partial<AgentOptions> = {}) =>
    Agent.start({
      node: "a",
      store,
      peers: [],
      networks: [],
      coolDownMs: 0,
      keepHistoryMs: 1000,
      bootId: "boot-1",
      leakGraceMs: 100,
      netns: { find: (path) => Promise.resolve(found(netns.get(path))) },
      queue,
      neighbours: {
        find: () => Promise.resolve(new Map(inUse)),
        remember: (address, user) => inUse.set(formatAddress(address), user),
        wake: () => Promise.resolve(),
        staysInUse: (address) =>
          Promise.resolve(inUse.has(formatAddress(address))),
        isInUse: (address) =>
          Promise.resolve(inUse.has(formatAddress(address))),
        findMac: (mac) =>
          Promise.resolve({
            addresses: new Set(
              [...inUse].flatMap(([text, { macAddress }]) =>
                macAddress === mac ? [text] : []
              ),
            ),
            containers: new Set(),
          }),
        portOf: ({ netns }) => Promise.resolve(ports.get(netns)),
      },
      now: () => clock.nowMs,
      uptimeMs: () => clock.nowMs,
      randomId: () => crypto.randomUUID(),
      random: () => 0.5,
      ...options,
      ...more,
    });
  return {
    agent: await start(),
    store,
    clock,
    netns,
    queue,
    inUse,
    ports,
    restart: start,
    [Symbol.asyncDispose]: () => store.close(),
  };
}

/** What is at a path: a number is the inode of a namespace there. */
export type NetnsState = "there" | "gone" | "unknown" | number;

function found(state: NetnsState = "gone"): FoundNamespace {
  if (state === "gone" || state === "unknown") return { kind: state };
  const inode = state === "there" ? 1 : state;
  return { kind: "there", id: { inode, since: "mount 1" } };
}

/** Networks as flags name them. */
export function networks(...cidrs: [string, number][]): Carve[] {
  return cidrs.map(([cidr, length]) => createCarve(parsePrefix(cidr), length));
}

/** A request of a container. */
export function request(
  containerId: string,
  ...addresses: string[]
): AllocationRequest {
  return {
    id: crypto.randomUUID(),
    owner: owner(containerId),
    addresses: addresses.map(parseAddress),
  };
}

/** Allocates, and returns the addresses as text. */
export async function allocate(
  agent: Agent,
  containerId: string,
  options: { node?: string; addresses?: string[] } = {},
): Promise<string> {
  const { allocation } = await agent.addresses.allocate(
    options.node ?? "a",
    request(containerId, ...options.addresses ?? []),
  );
  return allocation.addresses.map((a) => formatAddress(a.address)).join(" ");
}

/** What is held on a node: container id to addresses. */
export async function held(
  agent: Agent,
  node = "a",
): Promise<Record<string, string>> {
  const allocations = await agent.addresses.list(node, { limit: Infinity });
  return Object.fromEntries(
    allocations.map((allocation) => [
      allocation.owner.containerId,
      allocation.addresses.map((a) => formatAddress(a.address)).join(" "),
    ]),
  );
}
