import { readPages } from "../../src/cli/framework/list.ts";
import { setTimeout as delay } from "node:timers/promises";
import {
  type AgentClients,
  createClients,
} from "../../src/cli/framework/client.ts";
import { type ErrorCode, NetError } from "../../src/base/error.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { waitFor } from "../support/wait_for.ts";
import type { LabHost } from "./lab_host.ts";

/** How long a call may take, in ms: longer than an agent waits for etcd. */
const CALL_TIMEOUT_MS = 8_000;
/** How many change things through one agent at once. */
const WORKERS = 2;
/** Nodes and routes of each of them. */
const THINGS = 2;
/** Between two calls of one of them, in ms: these machines have other work, too. */
const PAUSE_MS = 15;
/** On the hosts' link, and of no host. */
export const NEXT_HOPS: readonly string[] = ["198.18.0.250", "198.18.0.251"];

const ABSENT = "absent";
const PRESENT = "present";

/** After these it is not known what became of a call. */
const UNKNOWN: readonly ErrorCode[] = ["unavailable", "deadline_exceeded"];

/** An answered change, or one that was refused. Times are those of `performance`. */
interface Call {
  readonly agent: string;
  readonly startedMs: number;
  readonly endedMs: number;
  /** Why it was refused; undefined when it was answered. */
  readonly error: NetError | undefined;
}

/** The latencies of changes during a time. */
export interface LoadReport {
  readonly answered: number;
  readonly refused: number;
  /** The longest time without an answered change: at the best agent, and at the worst. */
  readonly pauseMs: { readonly best: number; readonly worst: number };
  /** Messages of what was refused, with how often. */
  readonly messages: ReadonlyMap<string, number>;
}

/** What the registry holds, as an agent lists it. */
export interface Listed {
  /** Node to subnets. */
  readonly nodes: ReadonlyMap<string, readonly string[]>;
  /** Destination to next hop. */
  readonly routes: ReadonlyMap<string, string>;
}

/**
 * Joins, removals and changes of routes through several agents at once, again
 * and again, and what may be true after them: of what was answered exactly
 * that, of what was not answered either. Disposing of it ends it.
 */
export class RegistryLoad implements AsyncDisposable {
  readonly #hosts: readonly LabHost[];
  readonly #calls: Call[] = [];
  /** What may be true of a node or a route. */
  readonly #possible = new Map<string, ReadonlySet<string>>();
  /** Subnets of nodes whose join was answered, and that nobody has begun to remove since. */
  readonly #owners = new Map<string, string>();
  /** What must never be. */
  readonly faults: string[] = [];
  #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  /** @param hosts those through whose agents things are changed */
  constructor(hosts: readonly LabHost[]) {
    this.#hosts = hosts;
  }

  /** Begins, or goes on. */
  start(): void {
    this.#stop = new AbortController();
    this.#running = Promise.all(
      this.#hosts.flatMap((host) =>
        Array.from({ length: WORKERS }, (_, i) => this.#work(host, i))
      ),
    );
  }

  /** Ends it once what was called is answered. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /**
   * Waits until so many changes more have been answered through each agent.
   *
   * @returns how long that took, in ms
   */
  async answered(count: number): Promise<number> {
    const sinceMs = performance.now();
    await waitFor(
      `${count} changes through each agent`,
      () =>
        this.#hosts.every(({ name }) =>
          this.#answeredBetween(name, sinceMs, Infinity).length >= count
        ),
    );
    return performance.now() - sinceMs;
  }

  /** What it was like between two times, as `performance` has them. */
  report(fromMs: number, untilMs: number): LoadReport {
    const calls = this.#calls.filter(({ endedMs }) =>
      endedMs >= fromMs && endedMs <= untilMs
    );
    const refused = calls.flatMap(({ error }) => error ?? []);
    const messages = new Map<string, number>();
    for (const { code, message } of refused) {
      const text = `${code}: ${message}`;
      messages.set(text, (messages.get(text) ?? 0) + 1);
    }
    const pauses = this.#hosts.map(({ name }) => {
      const times = this.#answeredBetween(name, fromMs, untilMs);
      const all = [fromMs, ...times, untilMs];
      return Math.max(...all.slice(1).map((ms, i) => ms - all[i]!));
    });
    return {
      answered: calls.length - refused.length,
      refused: refused.length,
      pauseMs: { best: Math.min(...pauses), worst: Math.max(...pauses) },
      messages,
    };
  }

  /** What of a list must not be as it is: nothing, unless something was lost or given twice. */
  check({ nodes, routes }: Listed): string[] {
    const problems = [...this.faults];
    const owned = [...nodes.values()].flat();
    for (const subnet of new Set(owned)) {
      if (owned.filter((other) => other === subnet).length === 1) continue;
      problems.push(`${subnet} has several nodes`);
    }
    for (const [thing, possible] of this.#possible) {
      const is = thing.startsWith("guest")
        ? nodes.has(thing) ? PRESENT : ABSENT
        : routes.get(thing) ?? ABSENT;
      if (possible.has(is)) continue;
      problems.push(`${thing} is ${is}, and not ${[...possible].join(" or ")}`);
    }
    for (const [subnet, node] of this.#owners) {
      if (nodes.get(node)?.includes(subnet)) continue;
      problems.push(`${subnet} was given to ${node}, and is not its own`);
    }
    return problems;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #answeredBetween(agent: string, fromMs: number, untilMs: number): number[] {
    return this.#calls.filter((call) =>
      call.agent === agent && !call.error && call.endedMs >= fromMs &&
      call.endedMs <= untilMs
    ).map(({ endedMs }) => endedMs);
  }

  async #work(host: LabHost, worker: number): Promise<void> {
    const { socketPath } = host.agent;
    const clients = createClients(
      createRpcTransport({ socketPath }, { timeoutMs: CALL_TIMEOUT_MS }),
    );
    const name = (i: number) => `guest-${host.number}-${worker}-${i}`;
    const cidr = (i: number) =>
      `10.200.${host.number * 32 + worker * 8 + i}.0/24`;
    const { signal } = this.#stop;
    for (let turn = 0; !signal.aborted; turn++) {
      const i = turn % THINGS;
      if (turn % (2 * THINGS) < THINGS) {
        await this.#changeNode(clients.registry, host.name, name(i));
      } else {
        await this.#changeRoute(clients.registry, host.name, cidr(i));
      }
      await delay(PAUSE_MS);
    }
  }

  async #changeNode(
    registry: AgentClients["registry"],
    agent: string,
    node: string,
  ): Promise<void> {
    if (this.#possible.get(node)?.has(PRESENT)) {
      for (const [subnet, owner] of this.#owners) {
        if (owner === node) this.#owners.delete(subnet);
      }
      await this.#call(agent, {
        thing: node,
        to: ABSENT,
        call: () => registry.removeNode({ node, force: true }),
      });
      return;
    }
    await this.#call(agent, {
      thing: node,
      to: PRESENT,
      call: async () => {
        const { subnets } = await registry.join({
          ...{ node, instanceId: node, advertised: NEXT_HOPS.slice(0, 1) },
        });
        for (const subnet of subnets) {
          const other = this.#owners.get(subnet);
          if (other !== undefined && other !== node) {
            this.faults.push(`${subnet} was given to ${other} and ${node}`);
          }
          this.#owners.set(subnet, node);
        }
      },
    });
  }

  async #changeRoute(
    registry: AgentClients["registry"],
    agent: string,
    cidr: string,
  ): Promise<void> {
    const is = this.#possible.get(cidr) ?? new Set([ABSENT]);
    if (is.size > 1 || !is.has(ABSENT)) {
      await this.#call(agent, {
        thing: cidr,
        to: ABSENT,
        call: () => registry.deleteRoute({ cidr }),
      });
      return;
    }
    const target = NEXT_HOPS[this.#calls.length % NEXT_HOPS.length]!;
    await this.#call(agent, {
      thing: cidr,
      to: target,
      call: () => registry.addRoute({ cidr, target }),
    });
  }

  /** Makes a call that leads to a state of one thing. */
  async #call(
    agent: string,
    { thing, to, call }: {
      readonly thing: string;
      readonly to: string;
      readonly call: () => Promise<unknown>;
    },
  ): Promise<void> {
    const before = this.#possible.get(thing) ?? new Set([ABSENT]);
    this.#possible.set(thing, new Set([...before, to]));
    const startedMs = performance.now();
    let error: NetError | undefined;
    try {
      await call();
      this.#possible.set(thing, new Set([to]));
    } catch (caught) {
      if (!(caught instanceof NetError)) throw caught;
      error = caught;
      // It was not there: it was not known whether it was.
      if (caught.code === "not_found") this.#possible.set(thing, new Set([to]));
      else if (!UNKNOWN.includes(caught.code)) {
        this.faults.push(
          `${thing} to ${to}: ${caught.code}, ${caught.message}`,
        );
      }
    }
    this.#calls.push({ agent, startedMs, endedMs: performance.now(), error });
  }
}

/** What an agent lists. */
export async function listRegistry({ agent }: LabHost): Promise<Listed> {
  const { registry } = createClients(
    createRpcTransport({ socketPath: agent.socketPath }, {
      timeoutMs: CALL_TIMEOUT_MS,
    }),
  );
  const nodes = await readPages(async (pageToken) => {
    const page = await registry.listNodes({ pageToken });
    return [page.nodes, page.nextPageToken];
  });
  const routes = await readPages(async (pageToken) => {
    const page = await registry.listRoutes({ pageToken });
    return [page.routes, page.nextPageToken];
  });
  return {
    nodes: new Map(nodes.map(({ name, subnets }) => [name, subnets])),
    routes: new Map(routes.map(({ cidr, target }) => [cidr, target])),
  };
}
