import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { SpawnedAgent } from "./spawn_agent.ts";

/** Longest time for an answer, whatever else the agent is sent and this machine does. */
const MAX_ANSWER_MS = 120_000;
/** Between two rounds: it is to be one client among others, no load. */
const PAUSE_MS = 20;

const SERVICE = "stellar.net.v1.IpamService";

/** A client that allocates, asks and releases all the time, and checks each answer. */
export class SteadyClient implements AsyncDisposable {
  readonly #agent: SpawnedAgent;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #round = Promise.withResolvers<void>();
  /** How many rounds of calls were answered as they should be. */
  rounds = 0;
  /** The longest that an answer took. */
  slowestMs = 0;

  constructor(agent: SpawnedAgent) {
    this.#agent = agent;
    this.#done = this.#run();
    // Whoever stops it hears of an error.
    this.#done.catch(() => {});
  }

  /** Waits until it has done some more rounds. @throws what went wrong */
  async serves(rounds = 2): Promise<void> {
    const wanted = this.rounds + rounds;
    while (this.rounds < wanted) {
      const ended = this.#done.then(() => {
        throw new Error("Cannot wait for the steady client: it has ended");
      });
      await Promise.race([this.#round.promise, ended]);
    }
  }

  /** Ends it. @throws what went wrong */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
    assert.ok(this.rounds > 0, "the steady client was never served");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done.catch(() => {});
  }

  async #run(): Promise<void> {
    for (let n = 0; !this.#stop.signal.aborted; n++) {
      const owner = { network: "steady", containerId: `steady-${n}` };
      const first = await this.#call("Allocate", { owner });
      const again = await this.#call("Allocate", { owner });
      assert.deepEqual(again.allocation, first.allocation);
      const { allocation } = await this.#call("GetAllocation", { owner });
      assert.deepEqual(allocation, first.allocation);
      await this.#call("Release", { owner });
      this.rounds++;
      this.#round.resolve();
      this.#round = Promise.withResolvers();
      await delay(PAUSE_MS);
    }
  }

  async #call(
    method: string,
    message: unknown,
  ): Promise<Record<string, unknown>> {
    const startedAt = performance.now();
    const response = await fetch(`${this.#agent.url}/${SERVICE}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(message),
      signal: AbortSignal.timeout(MAX_ANSWER_MS),
    });
    const text = await response.text();
    assert.equal(response.status, 200, `${method}: ${text}`);
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
    return JSON.parse(text);
  }
}
