import { setTimeout as delay } from "node:timers/promises";
import { waitFor } from "../support/wait_for.ts";
import { settled } from "./cluster.ts";
import { createRandom } from "./history.ts";
import type { Lab } from "./lab.ts";
import type { LabClock } from "./lab_clock.ts";
import type { LabHost } from "./lab_host.ts";
import { namesAt } from "./reclaims.ts";

/** Silence after which the registry of a drill removes a node: the shortest that there is. */
export const RECLAIM_MS = 60_000;
/** A dead node is removed within this time once the registry is left in peace, in ms. */
const BOUND_MS = 2 * RECLAIM_MS;
/** Longest fault of a living node: shorter than {@linkcode RECLAIM_MS} with a heartbeat's time and a join's. */
export const MEMBER_FAULT_MS = 30_000;
/** Longest fault of the registry: longer than {@linkcode RECLAIM_MS}. */
const REGISTRY_FAULT_MS = 75_000;
/** How long a host may take to be in the cluster again, in ms: the registry may have a fault meanwhile. */
const READY_MS = 4 * REGISTRY_FAULT_MS;
const WATCH_MS = 500;

/** Something that befalls a host or the registry. Returns the function that undoes it. */
export interface DrillFault {
  readonly name: string;
  /** Default: as long as a fault of its kind may last. */
  readonly longestMs?: number;
  readonly cause: (pick: Pick) => Promise<() => Promise<unknown>>;
}

/** Picks one at random. */
export type Pick = <T>(choices: readonly T[]) => T;

export interface DrillOptions {
  readonly lab: Lab;
  /** The hosts with an agent. */
  readonly hosts: readonly LabHost[];
  /** Those whose agents host the registry: it runs on one of them at least. */
  readonly registries: readonly LabHost[];
  /** The clock of each host. */
  readonly clocks: ReadonlyMap<LabHost, LabClock>;
  /** What befalls the registry, besides its agents: its store and its links. */
  readonly registryFaults: readonly DrillFault[];
  readonly durationMs: number;
  readonly seed: number;
}

export interface DrillReport {
  /** Number of faults by name. */
  readonly faults: ReadonlyMap<string, number>;
  /** Nodes that were killed for good. */
  readonly dead: number;
  /** Of these, those that were removed. */
  readonly removed: number;
  /** Living nodes that were removed, with the faults of that time. */
  readonly mistakes: readonly string[];
  /** Dead nodes that were not removed in time. */
  readonly overdue: readonly string[];
  /** The longest time to a removal after the death and the registry's last fault, in s. */
  readonly slowestS: number;
}

/**
 * Lets random faults befall a cluster with `--reclaim-after 1m`. In each round
 * faults of the registry and of members overlap, and one node dies for good;
 * then only members have faults, and the dead node has to be removed.
 */
export class ReclaimDrill {
  readonly #options: DrillOptions;
  readonly #random: () => number;
  readonly #faults = new Map<string, number>();
  readonly #current = new Set<string>();
  readonly #mistakes: string[] = [];
  readonly #overdue: string[] = [];
  /** Hosts that have a fault, or are dead. */
  readonly #busy = new Set<LabHost>();
  /** The host of this round that was killed for good. */
  #mortal: LabHost | undefined;
  /** The same, until its node is removed. */
  #dead: LabHost | undefined;
  #lastRemovalMs = -Infinity;
  #deaths = 0;
  #removed = 0;
  #slowestMs = 0;
  /** Removals that were read so far, by log. */
  #removals: readonly number[] = [];

  constructor(options: DrillOptions) {
    this.#options = options;
    this.#random = createRandom(options.seed);
  }

  async run(): Promise<DrillReport> {
    const { durationMs } = this.#options;
    const watch = new AbortController();
    const watching = this.#watch(watch.signal);
    const untilMs = performance.now() + durationMs;
    try {
      do await this.#round(untilMs); while (performance.now() < untilMs);
      await this.#settle();
    } finally {
      watch.abort();
      await watching;
    }
    return {
      faults: this.#faults,
      dead: this.#deaths,
      removed: this.#removed,
      mistakes: this.#mistakes,
      overdue: this.#overdue,
      slowestS: this.#slowestMs / 1_000,
    };
  }

  async #round(untilMs: number): Promise<void> {
    const stormUntilMs = performance.now() +
      Math.min(REGISTRY_FAULT_MS, untilMs - performance.now());
    const storm = Promise.all([
      this.#befall(
        () => performance.now() < stormUntilMs,
        this.#registryFaults(),
        REGISTRY_FAULT_MS,
      ),
      this.#befall(
        () => performance.now() < stormUntilMs,
        this.#memberFaults(),
        MEMBER_FAULT_MS,
      ),
    ]);
    await delay(this.#between(1_000, 20_000));
    // A short drill has no time to see a node removed.
    if (untilMs - performance.now() > BOUND_MS) await this.#die();
    await storm;
    if (!this.#mortal) return;
    const quietMs = performance.now();
    await this.#befall(
      () => this.#dead !== undefined && performance.now() < quietMs + BOUND_MS,
      this.#memberFaults(),
      MEMBER_FAULT_MS,
    );
    if (this.#dead) this.#overdue.push(this.#dead.name);
    this.#slowestMs = Math.max(this.#slowestMs, this.#lastRemovalMs - quietMs);
    await this.#revive(this.#mortal);
  }

  async #die(): Promise<void> {
    const { hosts, registries } = this.#options;
    const mortal = hosts.filter((host) =>
      !this.#busy.has(host) &&
      (registries.length > 1 || !registries.includes(host))
    );
    if (mortal.length === 0) return;
    const host = this.#pick(mortal);
    this.#busy.add(host);
    this.#dead = host;
    this.#mortal = host;
    this.#deaths++;
    this.#count("death");
    await host.agent.kill();
  }

  /** Starts the host of a removed node again: it joins anew. */
  async #revive(host: LabHost): Promise<void> {
    this.#dead = undefined;
    this.#mortal = undefined;
    await host.agent.start();
    await this.#ready(host);
    this.#busy.delete(host);
  }

  /** Causes one fault after the other. */
  async #befall(
    goesOn: () => boolean,
    faults: readonly DrillFault[],
    longestMs: number,
  ): Promise<void> {
    while (goesOn()) {
      await delay(this.#between(500, 3_000));
      const fault = this.#pick(faults);
      const undo = await fault.cause(this.#pick);
      this.#count(fault.name);
      this.#current.add(fault.name);
      const endMs = performance.now() +
        this.#between(
          2_000,
          Math.min(fault.longestMs ?? longestMs, this.#longestMs),
        );
      while (performance.now() < endMs && goesOn()) await delay(200);
      await undo();
      this.#current.delete(fault.name);
    }
  }

  /** A drill that is short has short faults. */
  get #longestMs(): number {
    return Math.max(5_000, this.#options.durationMs / 3);
  }

  /** Makes faults of one of some hosts, of one that has no fault. */
  #onOneOf(
    hosts: readonly LabHost[],
    limits: { readonly longestMs?: number } = {},
  ) {
    return (
      name: string,
      cause: (host: LabHost) => Promise<() => Promise<unknown>>,
    ): DrillFault => ({
      name,
      ...limits,
      cause: async (pick) => {
        const free = hosts.filter((host) => !this.#busy.has(host));
        if (free.length === 0) return () => Promise.resolve();
        const host = pick(free);
        this.#busy.add(host);
        const undo = await cause(host);
        return async () => {
          await undo();
          // Two faults in a row would add up to more silence than allowed.
          await this.#ready(host);
          this.#busy.delete(host);
        };
      },
    });
  }

  #memberFaults(): DrillFault[] {
    const { hosts, registries, lab } = this.#options;
    const members = hosts.filter((host) => !registries.includes(host));
    const onMember = this.#onOneOf(members);
    return [
      onMember("a member is paused", (host) => pause(host)),
      onMember("a member is killed", (host) => killed(host)),
      onMember("a member is unplugged", async (host) => {
        await host.unplug();
        return () => host.plug();
      }),
      onMember("a member is cut off from the registry", async (host) => {
        for (const registry of registries) await lab.partition(registry, host);
        return () => lab.heal();
      }),
      this.#clockJump(),
    ];
  }

  #registryFaults(): DrillFault[] {
    const { registries, registryFaults } = this.#options;
    const onRegistry = this.#onOneOf(
      registries,
      // To the others it is a member.
      registries.length > 1 ? { longestMs: MEMBER_FAULT_MS } : {},
    );
    return [
      onRegistry("a host of the registry is paused", (host) => pause(host)),
      onRegistry("a host of the registry is killed", (host) => killed(host)),
      onRegistry("a host of the registry is unplugged", async (host) => {
        await host.unplug();
        return () => host.plug();
      }),
      this.#clockJump(),
      ...registryFaults,
    ];
  }

  #clockJump(): DrillFault {
    const { clocks, hosts } = this.#options;
    return {
      name: "a clock jumps",
      cause: async (pick) => {
        const clock = clocks.get(pick(hosts))!;
        const hours = pick([-48, -1, 1, 48]);
        await clock.moveHours(hours);
        return () => clock.moveHours(-hours);
      },
    };
  }

  /** Waits until the registry knows a host, which has joined. */
  async #ready(host: LabHost): Promise<void> {
    await waitFor(`${host.name} to be in the cluster`, async () => {
      const { registry } = await host.status();
      return ["joined", "hosted"].includes(registry.state);
    }, { timeoutMs: READY_MS, everyMs: 500 });
  }

  /** Follows the removals in the logs of the agents that host the registry. */
  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#readRemovals();
      await delay(WATCH_MS);
    }
    await this.#readRemovals();
  }

  async #readRemovals(): Promise<void> {
    const logs = await Promise.all(
      this.#options.registries.map(({ agent }) => agent.log()),
    );
    const removed = logs.map((text) =>
      [...text.matchAll(/Node "?(host\d+)"? was removed/g)].map(([, n]) => n!)
    );
    const before = this.#removals;
    this.#removals = removed.map(({ length }) => length);
    // Each removal is logged once, by the agent that carried it out.
    for (const name of removed.flatMap((names, i) => names.slice(before[i]))) {
      if (name === this.#dead?.name) {
        this.#removed++;
        this.#lastRemovalMs = performance.now();
        this.#dead = undefined;
      } else {
        this.#mistakes.push(`${name}, during ${[...this.#current].join(", ")}`);
      }
    }
  }

  /** Waits until all hosts are in the cluster again, and all kernels have all routes. */
  async #settle(): Promise<void> {
    const { hosts, registries } = this.#options;
    const members = new Map<LabHost, readonly string[]>();
    for (const host of hosts) {
      await this.#ready(host);
      members.set(host, await host.joined());
    }
    await waitFor(
      "all nodes",
      async () =>
        (await namesAt(registries[0]!)).join() ===
          hosts.map(({ name }) => name).sort().join(),
      { timeoutMs: READY_MS, everyMs: 500 },
    );
    await settled(members);
  }

  #count(name: string): void {
    this.#faults.set(name, (this.#faults.get(name) ?? 0) + 1);
  }

  #between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }

  readonly #pick: Pick = (choices) =>
    choices[Math.floor(this.#random() * choices.length)]!;
}

/** Stops a host's agent as a paused machine. */
function pause({ agent }: LabHost): Promise<() => Promise<void>> {
  const { pid } = agent;
  Deno.kill(pid, "SIGSTOP");
  return Promise.resolve(() => {
    Deno.kill(pid, "SIGCONT");
    return Promise.resolve();
  });
}

async function killed({ agent }: LabHost): Promise<() => Promise<void>> {
  await agent.kill();
  return () => agent.start();
}
