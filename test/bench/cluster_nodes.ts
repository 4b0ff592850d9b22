import type {
  ClusterPhase,
  Joined,
  Looked,
  Watching,
} from "./cluster_client.ts";
import { LineProcess } from "./line_process.ts";

/** How many nodes are simulated, in how many processes, and how many join at once. */
export interface NodesOptions {
  readonly nodes: number;
  readonly processes: number;
  readonly atOnce: number;
  /** Number of the first: others are simulated elsewhere. Default 0. */
  readonly first?: number;
}

/** Simulated nodes in processes of their own. Disposing of it ends them. */
export class Nodes implements AsyncDisposable {
  readonly #processes: readonly LineProcess[];
  readonly #perProcess: number;
  readonly #atOnce: number;
  readonly #first: number;

  constructor({ nodes, processes, atOnce, first = 0 }: NodesOptions) {
    this.#first = first;
    this.#perProcess = nodes / processes;
    this.#atOnce = atOnce / processes;
    this.#processes = Array.from(
      { length: processes },
      () => new LineProcess("cluster_client.ts"),
    );
  }

  /** Has all of them join, as fast as they can. From then on they tell that they are alive. */
  async join(port: number): Promise<Joined> {
    const joined = await this.#ask<Joined>((index) => ({
      kind: "join",
      port,
      first: this.#first + index * this.#perProcess,
      count: this.#perProcess,
      atOnce: this.#atOnce,
    }));
    return {
      seconds: Math.max(...joined.map(({ seconds }) => seconds)),
      latenciesMs: joined.flatMap(({ latenciesMs }) => latenciesMs),
      subnets: joined.flatMap(({ subnets }) => subnets),
    };
  }

  /** Has all of them watch a server, and waits until each has what there is. */
  async watch(port: number, perConnection: number): Promise<Watching> {
    const watching = await this.#ask<Watching>(() => ({
      kind: "watch",
      port,
      count: this.#perProcess,
      perConnection,
    }));
    return {
      seconds: Math.max(...watching.map(({ seconds }) => seconds)),
      connections: watching.reduce((sum, w) => sum + w.connections, 0),
    };
  }

  /** Waits until all have heard of a change. Returns when each did, as `now` has it. */
  async heard(port: number, change: string): Promise<readonly number[]> {
    return (await this.#ask<number[]>(() => ({ kind: "await", port, change })))
      .flat();
  }

  /** Has one more watcher look at what there is. */
  async look(port: number): Promise<Looked> {
    return await this.#processes[0]!.ask<Looked>(
      { kind: "look", port } satisfies ClusterPhase,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#processes.map((process) => process[Symbol.asyncDispose]()),
    );
  }

  #ask<T>(phaseOf: (index: number) => ClusterPhase): Promise<T[]> {
    return Promise.all(
      this.#processes.map((process, index) => process.ask<T>(phaseOf(index))),
    );
  }
}
