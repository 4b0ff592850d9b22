import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { DEFAULT_LIMITS } from "../../src/api/limits/limits.ts";
import { residentMiB } from "../bench/proc_stat.ts";
import { enrolWithin } from "../support/enrol_within.ts";
import {
  ManyConnections,
  type ManyOptions,
} from "../support/many_connections.ts";
import { createNamespace } from "../support/namespace.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import type { StellarClient } from "../support/stellar_clients.ts";
import { createClientWithin } from "../support/stellar_client_within.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

const HOST = "198.18.0.1";
const PORT = 9000;
const URL_OF_AGENT = `https://${HOST}:${PORT}`;
/** Where attackers come from. */
const STRANGERS = Array.from({ length: 20 }, (_, i) => `198.18.1.${i + 1}`);
const NETWORK = ["ip link set lo up"].concat(
  [HOST, ...STRANGERS].map((address) => `ip address add ${address}/32 dev lo`),
).join("\n");
/** Connections that are made at once. */
const MANY = 10_000;
/** Connections that the kernel has taken and the agent has not seen yet (listen(2)). */
const BACKLOG = 511;
/** How long the good client may wait for an answer. */
const MAX_ANSWER_MS = 120_000;
/** What the agent may have taken in addition at the end, garbage included. */
const MAX_GROWTH_MIB = 600;
/** Nothing, and what a handshake begins with. */
const STARTS = [
  "",
  "\x16",
  "\x16\x03\x01\x02\x00\x01\x00",
  "POST / HTTP/1.1\r\n",
];

/** An operator that calls all the time, over one connection, and sometimes over another. */
class SteadyOperator {
  readonly #clients: readonly StellarClient[];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  answers = 0;
  slowestMs = 0;

  /** @param clients one that keeps its connection, and one that does not */
  constructor(clients: readonly StellarClient[]) {
    this.#clients = clients;
    this.#done = this.#run();
    this.#done.catch(() => {});
  }

  /** Waits until it has had some more answers. @throws what went wrong */
  async serves(): Promise<void> {
    const wanted = this.answers + 10;
    while (this.answers < wanted) {
      await Promise.race([delay(10), this.#done]);
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const client of this.#clients) {
        const from = performance.now();
        const outcome = await client.call("Info");
        assert.deepEqual(outcome, {
          answer: { id: "stellar.services.network.v1" },
        });
        const tookMs = performance.now() - from;
        assert.ok(tookMs < MAX_ANSWER_MS, `${tookMs} ms`);
        this.slowestMs = Math.max(this.slowestMs, tookMs);
        this.answers++;
      }
      await delay(10);
    }
  }
}

/** Connections that are made, and how many of them may be open then. */
type Row = readonly [
  what: string,
  options: Pick<ManyOptions, "from" | "each" | "starts"> & {
    readonly as?: "anonymous" | "member";
  },
  atMost: number,
  /** Whether they stay until they are cut off. */
  end?: "cut off",
];

const { maxConnectionsPerAddress, maxConnectionsPerAnonymous } = DEFAULT_LIMITS;
const { maxConnectionsPerIdentity } = DEFAULT_LIMITS;
const ROWS: readonly Row[] = [
  [
    "from one address, without a handshake",
    { from: STRANGERS.slice(0, 1), each: MANY, starts: STARTS },
    maxConnectionsPerAddress + BACKLOG,
  ],
  [
    "from many addresses, without a handshake",
    { from: STRANGERS, each: MANY / STRANGERS.length, starts: STARTS },
    MANY,
    "cut off",
  ],
  [
    "from one address, without a certificate",
    { from: STRANGERS.slice(0, 1), each: 200, starts: [""], as: "anonymous" },
    maxConnectionsPerAnonymous,
  ],
  [
    "from many addresses, without a certificate",
    { from: STRANGERS, each: 40, starts: ["", "PRI"], as: "anonymous" },
    STRANGERS.length * maxConnectionsPerAnonymous,
  ],
  [
    "from many addresses, of one identity",
    { from: STRANGERS, each: 20, starts: ["", "PRI"], as: "member" },
    maxConnectionsPerIdentity,
    "cut off",
  ],
];

Deno.test("ten thousand connections to the TLS port leave others as they are", (t) =>
  withTempDir(async (dir) => {
    await using namespace = await createNamespace("net", NETWORK);
    await using agent = await spawnAgent({
      within: namespace.within,
      args: ["--listen", `${HOST}:${PORT}`, "--advertise", HOST],
    });
    const { socketPath } = agent;
    const enrol = (role: "operator" | "readonly") =>
      enrolWithin(namespace, { socketPath, url: URL_OF_AGENT, role, dir });
    const operator = await enrol("operator");
    const member = await enrol("readonly");
    const anonymous = { caPath: member.caPath };
    const connect = (kind: string) =>
      createClientWithin(namespace, kind, {
        ...{ url: URL_OF_AGENT, serverName: "node1", tls: operator },
      });
    await using keeping = connect("gRPC with grpc-js");
    await using anew = connect("Connect JSON with curl");
    const steady = new SteadyOperator([keeping, anew]);
    await steady.serves();
    const before = residentMiB(agent.pid);
    for (const [what, { as, ...options }, atMost, end] of ROWS) {
      await t.step(what, async () => {
        await using connections = new ManyConnections(namespace, {
          ...{ host: HOST, port: PORT, ...options },
          ...as && { tls: as === "member" ? member : anonymous },
        });
        // A client has done its part of the handshake before it is refused.
        const { made, open } = await waitFor(
          `no more than ${atMost} to be open`,
          async () => {
            const count = await connections.count();
            assert.ok(count.open <= atMost, `${count.open} are open`);
            return count;
          },
        );
        await steady.serves();
        console.log(
          `${what}: ${made} made, ${open} open at once, ${
            residentMiB(agent.pid).toFixed()
          } MiB`,
        );
        assert.equal(made, options.from.length * options.each);
        assert.notEqual(open, 0);
        if (end === undefined) return;
        await waitFor(
          "those that say nothing to be cut off",
          async () => (await connections.count()).open === 0,
          { everyMs: 500 },
        );
        await steady.serves();
      });
    }
    await steady.stop();
    const after = residentMiB(agent.pid);
    console.log(
      `connections: ${before.toFixed()} MiB before, ${after.toFixed()} MiB after; ` +
        `operator: ${steady.answers} answers, slowest ${steady.slowestMs.toFixed()} ms`,
    );
    assert.ok(after - before < MAX_GROWTH_MIB, `it grew by ${after - before}`);
    assert.doesNotMatch(agent.stderr, /Cannot answer|Uncaught|panicked/);
    assert.equal(await agent.stop(), 0);
  }));
