import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { createClients } from "../../src/cli/framework/client.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { signalChild } from "../support/signal_child.ts";
import { waitFor } from "../support/wait_for.ts";
import type { LabHost } from "./lab_host.ts";
import { execArgs } from "./netns.ts";
import { SteadyCalls, type Tally } from "./steady_calls.ts";

const MAIN = fileURLToPath(new URL("operator_calls_main.ts", import.meta.url));
const TIMEOUT_MS = 8_000;

/** Whose sockets are used for what. */
export interface SocketCalls {
  /** The agents with addresses of their own. */
  readonly allocate: readonly LabHost[];
  /** The callers that ask the registry for answers of others. */
  readonly forward: readonly LabHost[];
}

/** What a time was like for all callers together. */
export interface LoadSummary {
  readonly answered: number;
  readonly slowestMs: number;
  readonly failures: readonly string[];
}

/** Callers of the agents of a lab, through their sockets and over TLS, without a pause. */
export class IdentityLoad implements AsyncDisposable {
  readonly #calls = new SteadyCalls();
  #operator: OperatorCalls | undefined;

  /** Begins to call through sockets. */
  constructor({ allocate, forward }: SocketCalls) {
    for (const host of allocate) {
      const { ipam } = clientsOf(host);
      this.#calls.add(`allocation at ${host.name}`, async (turn) => {
        const owner = {
          ...{ network: "load", interfaceName: "eth0" },
          containerId: `here-${turn}`,
        };
        await ipam.allocate({ owner });
        await ipam.release({ owner });
      });
    }
    for (const host of forward) {
      const { registry } = clientsOf(host);
      this.#calls.add(`forwarded by ${host.name}`, async () => {
        await registry.listNodes({});
        await registry.listRoutes({});
      });
    }
  }

  /** Begins to call over TLS as an operator, from a host, by its clock. */
  callAs(
    dir: string,
    options: {
      readonly from: LabHost;
      readonly env: Readonly<Record<string, string>>;
      readonly agents: readonly LabHost[];
    },
  ): void {
    this.#operator = new OperatorCalls(dir, options);
  }

  /** Waits until each caller has been answered some times more. */
  async answered(times: number): Promise<void> {
    const before = new Map(
      [...this.#tallies].map(([name, { answered }]) => [name, answered]),
    );
    let behind = "";
    try {
      await waitFor("answers", () => {
        const late = [...this.#tallies].filter(([name, { answered }]) =>
          // What is followed speaks when there is something to say.
          answered < (before.get(name) ?? 0) + times
        );
        behind = late.map(([name, tally]) =>
          `${name}: ${tally.failures.at(-1)}`
        ).join("\n");
        return late.length === 0 && this.#tallies.size > 0;
      }, { everyMs: 50 });
    } catch (cause) {
      throw new Error(`Not answered: ${behind}`, { cause });
    }
  }

  /** What came of everything so far. */
  get summary(): LoadSummary {
    const all = [...this.#tallies];
    return {
      answered: all.reduce((sum, [, { answered }]) => sum + answered, 0),
      slowestMs: Math.max(...all.map(([, { slowestMs }]) => slowestMs)),
      failures: all.flatMap(([name, { failures }]) =>
        failures.map((failure) => `${name}: ${failure}`)
      ),
    };
  }

  /** Ends it. @returns what came of it */
  async stop(): Promise<LoadSummary> {
    await Promise.all([this.#calls.stop(), this.#operator?.stop()]);
    return this.summary;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #tallies(): ReadonlyMap<string, Tally> {
    return new Map([
      ...this.#calls.tallies,
      ...this.#operator?.tallies ?? [],
    ]);
  }
}

/** A process that calls agents as an operator. */
class OperatorCalls {
  tallies: ReadonlyMap<string, Tally> = new Map();
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<void>;

  constructor(
    dir: string,
    { from, env, agents }: Parameters<IdentityLoad["callAs"]>[1],
  ) {
    const places = agents.map(({ name, address }) => `${name}=${address}`);
    this.#child = new Deno.Command("ip", {
      args: execArgs(from.netns, [
        ...[Deno.execPath(), "run", "-A", "--cached-only", "--no-check"],
        ...[MAIN, dir, agents.at(-1)!.name, ...places],
      ]),
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#ended = this.#read();
  }

  async stop(): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    const timer = setTimeout(
      () => signalChild(this.#child, "SIGKILL"),
      2 * TIMEOUT_MS,
    );
    await this.#ended;
    const { code } = await this.#child.status;
    clearTimeout(timer);
    assert.equal(code, 0, "the operator's calls ended by themselves");
  }

  async #read(): Promise<void> {
    let rest = "";
    const text = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const piece of text) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      const last = lines.at(-1);
      if (last === undefined) continue;
      this.tallies = new Map(Object.entries(JSON.parse(last)));
    }
  }
}

function clientsOf({ agent: { socketPath } }: LabHost) {
  return createClients(
    createRpcTransport({ socketPath }, { timeoutMs: TIMEOUT_MS }),
  );
}
