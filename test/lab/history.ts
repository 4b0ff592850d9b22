import {
  type AgentClients,
  createClients,
} from "../../src/cli/framework/client.ts";
import { NetError } from "../../src/base/error.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";
import type { Lab } from "./lab.ts";
import type { LabHost } from "./lab_host.ts";

/** How long a call may take, in ms. */
const CALL_TIMEOUT_MS = 5_000;
/** How long it may take to leave: the registry may be out of reach. */
const LEAVE_TIMEOUT_MS = 15_000;

/** What came of a call that may be refused. */
export type Refusable<T> = T | NetError;

/** A node as the registry lists it. */
export interface ListedNode {
  readonly name: string;
  readonly subnets: readonly string[];
  readonly advertised: readonly string[];
}

/** How an agent says that it is. */
interface AgentState {
  readonly state: string;
  readonly problem: string;
  readonly subnets: readonly string[];
}

/** Numbers that a seed decides (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How long it may take until a registry answers that other agents host, too, in ms. */
const INSIST_TIMEOUT_MS = 120_000;

/** Options of a history. */
export interface HistoryOptions {
  /** The hosts with an agent. Default: all. */
  readonly hosts?: readonly LabHost[];
  /**
   * Whether others than the first host the registry, too. Then it may be out of
   * reach for a moment, and what became of a call may not be known.
   */
  readonly isShared?: boolean;
}

/**
 * A cluster to which random things happen, and what was promised in it: an
 * address that was given is held until it is released, or its node gives up.
 * The first host hosts the registry.
 */
export class History {
  readonly lab: Lab;
  /** Those with an agent. */
  readonly hosts: readonly LabHost[];
  /** Container id to address, by node. */
  readonly promised = new Map<string, Map<string, string>>();
  /** Extra routes: destination to next hop. */
  readonly extra = new Map<string, string>();
  readonly reserved = new Set<string>();
  #containers = 0;

  readonly #isShared: boolean;

  constructor(lab: Lab, options: HistoryOptions = {}) {
    const { hosts = lab.hosts, isShared = false } = options;
    this.lab = lab;
    this.hosts = hosts;
    this.#isShared = isShared;
  }

  get registry(): AgentClients["registry"] {
    return this.clients(this.lab.host(1)).registry;
  }

  clients({ agent: { socketPath } }: LabHost): AgentClients {
    return createClients(
      createRpcTransport({ socketPath }, { timeoutMs: CALL_TIMEOUT_MS }),
    );
  }

  /** Changes the registry. One that is shared is asked again until it answers. */
  async change<T>(
    call: (registry: AgentClients["registry"]) => Promise<T>,
  ): Promise<Refusable<T>> {
    const deadline = performance.now() + INSIST_TIMEOUT_MS;
    for (;;) {
      const result = await refusable(() => call(this.registry));
      const isOver = !this.#isShared || performance.now() > deadline;
      if (isOver || !isUnknown(result)) return result;
    }
  }

  /** Has an agent give an address of a node, and remembers it. */
  async allocate(asked: LabHost, node: string): Promise<Refusable<string>> {
    const containerId = `c${this.#containers++}`;
    return await refusable(async () => {
      const { allocation } = await this.clients(asked).ipam.allocate({
        node,
        owner: { containerId },
      });
      const { address } = allocation!.addresses[0]!;
      this.#of(node).set(containerId, address);
      return address;
    });
  }

  /** Has an agent take one of a node's addresses back. */
  async release(asked: LabHost, node: string): Promise<Refusable<string>> {
    const [containerId] = this.#of(node).keys();
    if (containerId === undefined) return "";
    const released = await refusable(async () => {
      const owner = { containerId };
      await this.clients(asked).ipam.release({ node, owner });
      this.#of(node).delete(containerId);
      return containerId;
    });
    // What was sent on may still come there once the network is mended.
    if (isUnknown(released)) this.#of(node).delete(containerId);
    return released;
  }

  /** Has a node leave, whatever it holds. It is started again when all comes to rest. */
  async leave(host: LabHost): Promise<Refusable<string>> {
    return await refusable(async () => {
      await this.clients(host).agent.leave({ force: true }, {
        timeoutMs: LEAVE_TIMEOUT_MS,
      });
      this.forget(host.name);
      await host.agent.kill();
      return host.name;
    });
  }

  /** Records that a node holds none of its addresses any more. */
  forget(node: string): void {
    this.promised.delete(node);
  }

  async nodes(): Promise<ListedNode[]> {
    return (await this.registry.listNodes({})).nodes;
  }

  async stateOf(host: LabHost): Promise<AgentState> {
    const { agent } = this.clients(host);
    const { registry, subnets } = await agent.getStatus({});
    return {
      state: STATES[registry!.state] ?? "unknown",
      problem: registry!.problem,
      subnets: subnets.map(({ cidr }) => cidr),
    };
  }

  /** What is held on a node, as an agent tells it: container id to address. */
  async heldOn(asked: LabHost, node: string): Promise<Map<string, string>> {
    const { allocations } = await this.clients(asked).ipam.listAllocations({
      ...{ node, pageSize: 1000 },
    });
    return new Map(allocations.map(({ owner, addresses }) => [
      owner!.containerId,
      addresses[0]!.address,
    ]));
  }

  /**
   * Mends the network, starts what was ended, and waits until every agent is
   * in the cluster with the subnets that the registry lists, or fenced. A node
   * that was removed hears of it with its next heartbeat.
   *
   * @returns the hosts that are in it
   */
  async rest(): Promise<LabHost[]> {
    await this.lab.heal();
    for (const { agent } of this.hosts) if (!agent.isRunning) agent.spawn();
    const hosts = await allDone(this.hosts.map(async (host) => {
      let last: AgentState | undefined;
      let listed: readonly string[] | undefined;
      try {
        await waitFor(`${host.name} to come to rest`, async () => {
          last = await this.stateOf(host);
          if (last.state === "fenced") return true;
          const nodes = await this.nodes();
          listed = nodes.find(({ name }) => name === host.name)?.subnets;
          return ["hosted", "joined"].includes(last.state) &&
            listed?.join() === last.subnets.join();
        }, { everyMs: 50 });
      } catch (cause) {
        const is = JSON.stringify(last);
        throw new Error(
          `${host.name} is ${is}, and the registry lists ${listed}`,
          { cause },
        );
      }
      return last!.state === "fenced" ? [] : [host];
    }));
    return hosts.flat();
  }

  /** The routes that a host should have, by what the registry says. */
  routesOf(host: LabHost, nodes: readonly ListedNode[]): string {
    const isIpv4 = (text: string) => !text.includes(":");
    const lines = nodes.filter(({ name }) => name !== host.name)
      .flatMap(({ subnets, advertised }) =>
        advertised.filter(isIpv4).flatMap((via) =>
          subnets.map((subnet) => `${subnet} via ${via}`)
        )
      );
    const more = [...this.extra]
      .filter(([, target]) => target !== host.address)
      .map(([cidr, target]) => `${cidr} via ${target}`);
    return [...lines, ...more].sort().join("\n");
  }

  #of(node: string): Map<string, string> {
    const known = this.promised.get(node) ?? new Map();
    this.promised.set(node, known);
    return known;
  }
}

const STATES = ["", "hosted", "joined", "unreachable", "fenced", "left"];

/** Whether it is not known what became of a call. */
function isUnknown(result: unknown): boolean {
  return result instanceof NetError &&
    (result.code === "unavailable" || result.code === "deadline_exceeded");
}

/** What a call returns, or how it was refused. A defect of the agent is thrown. */
export async function refusable<T>(
  call: () => Promise<T>,
): Promise<Refusable<T>> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof NetError && error.code !== "internal") return error;
    throw error;
  }
}
