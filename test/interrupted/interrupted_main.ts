/**
 * Interrupts calls and makes them again at once, over some ways to an agent at
 * the same time. The argument is the `InterruptedPlan` in JSON; it prints
 * `InterruptedCounts` for each way.
 */
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { createRandom } from "../lab/history.ts";
import type { ShownCertificate } from "../support/test_authority.ts";

/** How a client reaches the agent. */
export interface InterruptedWay {
  readonly name: string;
  readonly url: string;
  readonly protocol: "Connect over HTTP/1.1" | "gRPC";
  /** Undefined: plain text. */
  readonly tls?: ShownCertificate;
}

export interface InterruptedPlan {
  readonly ways: readonly InterruptedWay[];
  /** Calls to interrupt over each way. */
  readonly calls: number;
  readonly seed: number;
}

/** What came of the calls over one way. */
export interface InterruptedCounts {
  readonly cancelled: number;
  readonly timedOut: number;
  readonly cutOff: number;
  /** Of them, those that failed: the others were answered in time. */
  readonly failed: number;
  /** The owners that hold addresses at the end, as their last answers say. */
  readonly held: Readonly<Record<string, string>>;
  /** Answers with an address that another owner had been told and had not released. */
  readonly doubles: readonly string[];
}

/** Clients that make their calls side by side over each way. */
const CALLERS = 16;
/** The latest moment of an interruption, as a share of the time that calls take. */
const LATEST = 1.5;
/** The weight of the last call in that time. */
const WEIGHT = 0.1;
/** The share of owners that keep their addresses, and the number of them: a subnet has 1021 addresses. */
const KEPT = 0.2;
const MAX_KEPT = 500;

const MAX_ATTEMPTS = 20;
/** What callers see of a call that they interrupt: a connection that is cut off has no code of its own. */
const INTERRUPTED: ReadonlySet<Code> = new Set([
  ...[Code.Canceled, Code.DeadlineExceeded, Code.Unavailable],
  ...[Code.Aborted, Code.Unknown, Code.Internal],
]);

interface Connection {
  readonly ipam: Client<typeof IpamService>;
  /** Ends the connection in the midst of its calls. */
  cut(): void;
}

function connect({ url, protocol, tls }: InterruptedWay): Connection {
  const nodeOptions = tls
    ? {
      ca: Deno.readTextFileSync(tls.caPath),
      cert: Deno.readTextFileSync(tls.certPath!),
      key: Deno.readTextFileSync(tls.keyPath!),
    }
    : {};
  const connection = (transport: Transport, cut: () => void) => ({
    ipam: createClient(IpamService, transport),
    cut,
  });
  if (protocol === "gRPC") {
    const sessions = new Http2SessionManager(url, {}, nodeOptions);
    return connection(
      createGrpcTransport({ baseUrl: url, sessionManager: sessions }),
      () => sessions.abort(),
    );
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  return connection(
    createConnectTransport({
      ...{ baseUrl: url, httpVersion: "1.1", nodeOptions: { agent } },
    }),
    () => agent.destroy(),
  );
}

const { ways, calls, seed }: InterruptedPlan = JSON.parse(Deno.args[0]!);
/** Who was told which address, over any way, until they begin to release it. */
const owners = new Map<string, string>();
let kept = 0;

/** The callers of one way. */
class Callers {
  readonly counts = { cancelled: 0, timedOut: 0, cutOff: 0, failed: 0 };
  readonly doubles: string[] = [];
  readonly held: Record<string, string> = {};
  readonly #way: InterruptedWay;
  #left = calls;
  /** The time that a call takes over this way, in ms. */
  #usualMs = 5;

  constructor(way: InterruptedWay) {
    this.#way = way;
  }

  async run(firstSeed: number): Promise<void> {
    await Promise.all(
      Array.from({ length: CALLERS }, (_, n) => this.#call(n, firstSeed + n)),
    );
  }

  async #call(number: number, callerSeed: number): Promise<void> {
    const random = createRandom(callerSeed);
    const connection = connect(this.#way);
    const { ipam } = connection;
    const prefix = this.#way.name.replaceAll(/\W+/g, "-");
    for (let turn = 0; this.#left > 0; turn++) {
      const containerId = `${prefix}-${number}-${turn}`;
      const owner = { containerId };
      const request = random() < 0.5 ? { owner, attachment: {} } : { owner };
      await this.#interrupt(
        connection,
        random,
        (options) => ipam.allocate(request, options),
      );
      const startedMs = performance.now();
      const { allocation } = await make(() => ipam.allocate(request));
      const tookMs = performance.now() - startedMs;
      this.#usualMs += WEIGHT * (tookMs - this.#usualMs);
      const { address } = allocation!.addresses[0]!;
      const other = owners.get(address);
      if (other !== undefined) {
        this.doubles.push(`${address}: ${containerId}, ${other}`);
      }
      owners.set(address, containerId);
      if (random() < KEPT && kept < MAX_KEPT) {
        kept++;
        this.held[containerId] = address;
        continue;
      }
      owners.delete(address);
      if (random() < 0.3) {
        await this.#interrupt(
          connection,
          random,
          (options) => ipam.release({ owner }, options),
        );
      }
      await make(() => ipam.release({ owner }));
    }
    connection.cut();
  }

  /** Makes a call that is interrupted at some moment, and does not wait for its end. */
  async #interrupt(
    connection: Connection,
    random: () => number,
    call: (options: CallOptions) => Promise<unknown>,
  ): Promise<void> {
    this.#left--;
    const kinds = ["cancelled", "timedOut", "cutOff"] as const;
    const kind = kinds[Math.floor(random() * kinds.length)]!;
    const moment = random() * LATEST * this.#usualMs;
    this.counts[kind]++;
    const abort = new AbortController();
    const options = kind === "timedOut"
      ? { timeoutMs: Math.ceil(moment) }
      : { signal: abort.signal };
    const made = call(options).then(() => {}, (error) => {
      this.counts.failed++;
      const { code, rawMessage } = ConnectError.from(error);
      assert.ok(INTERRUPTED.has(code), `${Code[code]}: ${rawMessage}`);
    });
    await (kind === "timedOut" ? made : Promise.race([delay(moment), made]));
    if (kind === "cancelled") abort.abort();
    if (kind === "cutOff") connection.cut();
  }
}

/** Makes a call until it is answered. */
async function make<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 0;; attempt++) {
    try {
      return await call();
    } catch (error) {
      // A connection that was cut off may take the next call with it.
      if (attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

const all = ways.map((way) => new Callers(way));
await Promise.all(all.map((callers, n) => callers.run(seed + n * CALLERS)));
const counts = all.map(({ counts, held, doubles }): InterruptedCounts => ({
  ...{ ...counts, held, doubles },
}));
console.log(JSON.stringify(counts));
Deno.exit(0);
