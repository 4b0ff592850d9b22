import { setTimeout as delay } from "node:timers/promises";
import { createRandom } from "../lab/history.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import type { SpawnedAgent } from "../support/spawn_agent.ts";
import { Beliefs } from "./beliefs.ts";
import {
  type Answer,
  callApi,
  type CallerOptions,
  Runtime,
} from "./callers.ts";
import { HammeredHost } from "./hammered_host.ts";

/** Options of a run. */
export interface HammerOptions {
  /** Calls to make. */
  readonly operations: number;
  /** Decides what happens; when each thing happens is up to the machine. */
  readonly seed: number;
}

/** What a run found. */
export interface HammerReport {
  /** Calls that were made: of the API, and of the plugin. */
  readonly operations: number;
  /** Those of the CNI plugin, each a process of its own. */
  readonly pluginCalls: number;
  /** Those that were carried out, or refused by a rule. */
  readonly answered: number;
  /** Addresses that two holders believed to hold. */
  readonly doubles: number;
  /** Acknowledged allocations that were gone without a release. */
  readonly lost: number;
  /** Allocations that outlived their acknowledged release. */
  readonly stale: number;
  readonly kills: number;
  readonly reboots: number;
  readonly fullDisks: number;
  readonly clockJumps: number;
  readonly clones: number;
  readonly seed: number;
  readonly seconds: number;
  /** The first of what went wrong. */
  readonly examples: readonly string[];
}

/** Each has one call in flight. */
const API_CALLERS = 32;
const IDS_PER_CALLER = 10;
const RUNTIMES = 2;
/** Together more than the addresses of the subnet, which is full now and then. */
const IDS_PER_RUNTIME = 25;
/** Calls of the plugin, each of which costs as much as fifty of the API, before they become one in fifty. */
const PLUGIN_CALLS = 500;
const PLUGIN_SHARE = 1 / 50;
/** Faults between which the run's calls are made. */
const MAX_ROUNDS = 150;
const MIN_CALLS_PER_ROUND = 250;
/** Calls for another owner each that a copy of the agent has to refuse. */
const COPY_CALLS = 50;
const MAX_HOURS = 100;
const EXAMPLES = 10;
/** Rounds after one of which the agent has the time to collect leaked addresses. */
const REST_EVERY = 3;
/** The grace period of the agent, and three checks. */
const REST_MS = 1_000;

/** Rounds between two reports of progress: a short run has none. */
const PROGRESS_EVERY = 10;

const FAULTS = [
  "kill",
  "stop",
  "reboot",
  "full disk",
  "clock",
  "clone",
] as const;

/** Calls an agent without pause and does to its host whatever may happen to one. */
export class Hammer {
  readonly #host: HammeredHost;
  readonly #options: HammerOptions;
  readonly #random: () => number;
  readonly #beliefs = new Beliefs();
  readonly #callers: CallerOptions;
  readonly #runtimes: readonly Runtime[];
  readonly #counts = {
    ...{ operations: 0, pluginCalls: 0, answered: 0, kills: 0, reboots: 0 },
    ...{ fullDisks: 0, clockJumps: 0, clones: 0 },
  };
  readonly #startedMs = performance.now();
  #rounds = 0;
  #isDown = false;
  /** Number of operations at which this round is done. */
  #doneAt = 0;
  /** Calls a fault when so many operations were made. */
  #alarm: { at: number; ring: () => void } | undefined;
  #copy: SpawnedAgent | undefined;

  private constructor(host: HammeredHost, options: HammerOptions) {
    this.#host = host;
    this.#options = options;
    this.#random = createRandom(options.seed);
    this.#callers = {
      ...{ host, beliefs: this.#beliefs, random: this.#random },
      isDown: () => this.#isDown,
      isDone: () => this.#counts.operations >= this.#doneAt,
      isPluginDue: () =>
        this.#counts.pluginCalls <
          PLUGIN_CALLS + PLUGIN_SHARE * this.#counts.operations,
      onAnswer: (answer) => this.#count(answer),
    };
    this.#runtimes = Array.from(
      { length: RUNTIMES },
      (_, i) =>
        new Runtime(createIds(`pod-${i}`, IDS_PER_RUNTIME), this.#callers),
    );
  }

  /**
   * Runs in namespaces of its own: see {@linkcode HammeredHost}.
   *
   * @param onProgress gets a report on what was done so far, now and then
   */
  static async run(
    options: HammerOptions,
    onProgress: (report: HammerReport) => void,
  ): Promise<HammerReport> {
    await using host = await HammeredHost.create();
    return await new Hammer(host, options).#run(onProgress);
  }

  async #run(
    onProgress: (report: HammerReport) => void,
  ): Promise<HammerReport> {
    const { operations } = this.#options;
    const perRound = Math.max(
      MIN_CALLS_PER_ROUND,
      Math.ceil(operations / MAX_ROUNDS),
    );
    // All of them, in an order of the seed, before any of them again.
    let left: (typeof FAULTS[number])[] = [];
    while (this.#counts.operations < operations) {
      if (left.length === 0) left = [...FAULTS];
      const at = Math.floor(this.#random() * left.length);
      const [fault] = left.splice(at, 1);
      await this.#round(fault!, perRound);
      if (this.#rounds % PROGRESS_EVERY === 0) onProgress(this.#report());
    }
    return this.#report();
  }

  #report(): HammerReport {
    const { doubles, lost, stale } = this.#beliefs.findings;
    return {
      ...this.#counts,
      ...{ doubles: doubles.length, lost: lost.length, stale: stale.length },
      seed: this.#options.seed,
      seconds: (performance.now() - this.#startedMs) / 1000,
      examples: [...doubles, ...lost, ...stale].slice(0, EXAMPLES),
    };
  }

  /** Makes calls, with a fault in the midst of them, and compares what all believe. */
  async #round(fault: typeof FAULTS[number], calls: number): Promise<void> {
    const { agent } = this.#host;
    const { operations } = this.#counts;
    this.#doneAt = operations + calls;
    const rung = Promise.withResolvers<void>();
    const at = operations + 1 + Math.floor(this.#random() * calls / 2);
    this.#alarm = { at, ring: rung.resolve };
    const load = this.#load();
    await Promise.race([rung.promise, load]);
    await this.#strike(fault, load);
    await load;
    if (this.#isDown) {
      await agent.start();
      this.#isDown = false;
    }
    // The calls that are left, for an agent that was started again.
    await this.#load();
    await this.#endCopy();
    if (++this.#rounds % REST_EVERY === 0) await delay(REST_MS);
    await this.#verify();
    agent.stderr = "";
  }

  async #load(): Promise<void> {
    using client = createIpamClient(this.#host.agent.port);
    await Promise.all([
      ...Array.from({ length: API_CALLERS }, (_, i) => {
        const ids = createIds(`api-${i}`, IDS_PER_CALLER);
        return callApi(ids, { ...this.#callers, client });
      }),
      ...this.#runtimes.map((runtime) => runtime.work()),
    ]);
  }

  async #strike(
    fault: typeof FAULTS[number],
    load: Promise<void>,
  ): Promise<void> {
    const host = this.#host;
    switch (fault) {
      case "kill":
        return await this.#kill();
      case "stop":
        this.#isDown = true;
        await host.agent.stop();
        return;
      case "reboot":
        await this.#kill();
        await load;
        await host.reboot();
        for (const runtime of this.#runtimes) runtime.reboot();
        this.#counts.reboots++;
        return;
      case "full disk":
        await host.fillDisk();
        this.#counts.fullDisks++;
        if (this.#random() < 0.5) await this.#kill();
        await load;
        return await host.freeDisk();
      case "clock":
        await host.setClock((2 * this.#random() - 1) * MAX_HOURS);
        this.#counts.clockJumps++;
        return;
      case "clone":
        await this.#kill();
        await load;
        return await this.#clone();
    }
  }

  async #kill(): Promise<void> {
    this.#isDown = true;
    await this.#host.agent.kill("SIGKILL");
    this.#counts.kills++;
  }

  /** Starts a copy of the agent beside it. What it gives out counts like everything else. */
  async #clone(): Promise<void> {
    const host = this.#host;
    const stateDir = await host.copyState();
    await host.agent.start();
    this.#isDown = false;
    this.#counts.clones++;
    this.#copy = await host.startCopy(stateDir);
    if (!this.#copy) return;
    this.#doneAt = this.#counts.operations + MIN_CALLS_PER_ROUND;
    using client = createIpamClient(this.#copy.port);
    const ids = createIds("copy", COPY_CALLS);
    const load = this.#load();
    for (const id of ids) {
      const [address] = await client.allocate(id).catch(() => []);
      this.#count({ isAnswered: address === undefined });
      if (address) this.#beliefs.hold(`copied ${id}`, { owner: id, address });
    }
    await load;
  }

  async #endCopy(): Promise<void> {
    if (!this.#copy) return;
    await this.#copy[Symbol.asyncDispose]();
    this.#copy = undefined;
    for (const id of createIds("copy", COPY_CALLS)) {
      this.#beliefs.drop(`copied ${id}`);
    }
  }

  async #verify(): Promise<void> {
    using client = createIpamClient(this.#host.agent.port);
    for (const [owner, address] of this.#beliefs.verify(await client.list())) {
      // An answer did not arrive. Containers were told to end.
      if (owner.startsWith("api-")) {
        this.#beliefs.hold(owner, { owner, address });
      }
    }
  }

  #count({ isAnswered, isPlugin = false }: Answer): void {
    this.#counts.operations++;
    if (isPlugin) this.#counts.pluginCalls++;
    if (isAnswered) this.#counts.answered++;
    if (this.#alarm && this.#counts.operations >= this.#alarm.at) {
      this.#alarm.ring();
      this.#alarm = undefined;
    }
  }
}

function createIds(prefix: string, length: number): string[] {
  return Array.from({ length }, (_, i) => `${prefix}-${i}`);
}
