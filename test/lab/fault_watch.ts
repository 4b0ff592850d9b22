import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { allDone } from "../support/all_done.ts";
import type { EtcdRegistryLab } from "./etcd_registry_lab.ts";
import { History } from "./history.ts";
import { type LoadReport, RegistryLoad } from "./registry_load.ts";

/** Changes that are waited for through each agent: before a fault, and after it. */
const CHANGES = 4;
/** How long a fault lasts if not told otherwise, in ms. */
const HOLD_MS = 2_000;

/** A fault, and what undoes it. */
export interface Fault {
  /** In a few words. */
  readonly what: string;
  readonly breakIt: () => Promise<unknown>;
  /** Looks at what holds meanwhile. Default: the fault lasts a while. */
  readonly meanwhile?: (() => Promise<unknown>) | undefined;
  readonly mend: () => Promise<unknown>;
}

/** What a fault did. */
export interface Outcome {
  readonly what: string;
  readonly load: LoadReport;
  /** From the mending until changes are answered through every agent, in ms. */
  readonly answeredMs: number;
  /** From the end of the changes until all agree, kernels included, in ms. */
  readonly agreedMs: number;
}

/**
 * Causes faults in a cluster in which things change all the while, and checks
 * after each that no subnet has two nodes, that nothing that was answered is
 * lost, and that all agree.
 */
export class FaultWatch {
  readonly outcomes: Outcome[] = [];
  readonly history: History;
  readonly #cluster: EtcdRegistryLab;
  readonly #load: RegistryLoad;

  constructor(cluster: EtcdRegistryLab) {
    this.#cluster = cluster;
    this.#load = new RegistryLoad(cluster.registries);
    this.history = new History(cluster.lab);
  }

  /** Causes a fault. */
  async cause({ what, breakIt, meanwhile, mend }: Fault): Promise<void> {
    const load = this.#load;
    load.start();
    let fromMs = 0;
    let answeredMs = 0;
    let untilMs = 0;
    try {
      await load.answered(CHANGES);
      fromMs = performance.now();
      await breakIt();
      try {
        await this.#allocate();
        await (meanwhile ?? (() => delay(HOLD_MS)))();
      } finally {
        await mend();
      }
      answeredMs = await load.answered(CHANGES);
      untilMs = performance.now();
    } finally {
      await load.stop();
    }
    const quietMs = performance.now();
    const listed = await this.#cluster.agreed();
    const agreedMs = performance.now() - quietMs;
    assert.deepEqual(load.check(listed), []);
    await this.#checkAddresses();
    const outcome = {
      what,
      load: load.report(fromMs, untilMs),
      answeredMs,
      agreedMs,
    };
    this.outcomes.push(outcome);
    console.log(describe(outcome));
  }

  /** Runs something while nobody changes anything, as in the midst of a fault. */
  async quiet<T>(run: () => Promise<T>): Promise<T> {
    await this.#load.stop();
    try {
      return await run();
    } finally {
      this.#load.start();
    }
  }

  /** Has every node whose agent runs give an address: none needs the registry for it. */
  async #allocate(): Promise<void> {
    const running = this.#cluster.hosts.filter(({ agent }) => agent.isRunning);
    await allDone(running.map(async (host) => {
      const given = await this.history.allocate(host, host.name);
      assert.equal(typeof given, "string", `${host.name}: ${given}`);
    }));
  }

  /** Checks that what was given is held, and by nobody else. */
  async #checkAddresses(): Promise<void> {
    const seen = new Set<string>();
    for (const host of this.#cluster.hosts) {
      const held = await this.history.heldOn(host, host.name);
      const promised = this.history.promised.get(host.name)!;
      assert.deepEqual(
        new Map([...held].sort()),
        new Map([...promised].sort()),
      );
      for (const address of held.values()) {
        assert.ok(!seen.has(address), `${address} is held twice`);
        seen.add(address);
      }
    }
  }
}

function describe({ what, load, answeredMs, agreedMs }: Outcome): string {
  const ms = (value: number) => `${Math.round(value)} ms`;
  const { best, worst } = load.pauseMs;
  const messages = [...load.messages].toSorted((a, b) => b[1] - a[1]);
  return [
    `  ${what}: ${load.answered} changes answered, ${load.refused} refused; ` +
    `longest pause ${ms(best)} to ${ms(worst)}; ` +
    `answered through all ${ms(answeredMs)} after it, agreed in ${
      ms(agreedMs)
    }`,
    ...messages.slice(0, 4).map(([text, count]) => `    ${count}x ${text}`),
  ].join("\n");
}
