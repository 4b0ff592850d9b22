/**
 * Simulated nodes, many in one process: each joins, tells that it is alive,
 * and watches. Told what to do line by line: a {@linkcode ClusterPhase} each.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Buffer } from "node:buffer";
import type { ClientHttp2Session } from "node:http2";
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  JoinRequestSchema,
  JoinResponseSchema,
  WatchResponseSchema,
} from "../../src/gen/stellar/net/v1/registry_pb.ts";
import {
  callUnary,
  connectHttp2,
  onMessage,
  startCall,
} from "./grpc_frames.ts";
import { answerLines } from "./line_process.ts";

const SERVICE = "/stellar.net.v1.RegistryService";
/** How soon after its join a node tells that it is alive, in ms. */
const FIRST_HEARTBEAT_MS = 1000;
/** How soon it tells it again when the registry has not said when, in ms. */
const HEARTBEAT_INTERVAL_MS = 5000;

/** What a process is told to do. */
export type ClusterPhase =
  /** Answered with {@linkcode Joined}, once all nodes have. */
  | {
    readonly kind: "join";
    readonly port: number;
    /** Number of the first node, and how many there are. */
    readonly first: number;
    readonly count: number;
    /** How many join at once. */
    readonly atOnce: number;
  }
  /** Answered with {@linkcode Watching}, once all have what there is. */
  | {
    readonly kind: "watch";
    readonly port: number;
    readonly count: number;
    /** How many of them share a connection. */
    readonly perConnection: number;
  }
  /** Answered with when each watcher heard of a change (see `now`), once all have. */
  | { readonly kind: "await"; readonly port: number; readonly change: string }
  /** Answered with {@linkcode Looked}: a new watcher has what there is, and leaves again. */
  | { readonly kind: "look"; readonly port: number };

/** What it took until all of some nodes had joined. */
export interface Joined {
  readonly seconds: number;
  /** Of each call, in ms. */
  readonly latenciesMs: readonly number[];
  readonly subnets: readonly string[];
}

/** What it took until all of some watchers had what there is. */
export interface Watching {
  readonly seconds: number;
  readonly connections: number;
}

/** What one more watcher is told. */
export interface Looked {
  readonly ms: number;
  /** The message, in base64. */
  readonly snapshot: string;
}

/** The time in ms since 1970, in small fractions: the same in all processes. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Watchers of one server: when they heard of what. */
class Watchers {
  #count = 0;
  readonly #heard = new Map<string, number[]>();
  readonly #awaited = new Map<string, (times: readonly number[]) => void>();

  /**
   * Opens a watch, and resolves when it has what there is. That is not decoded:
   * it would be much work for one process, which real nodes share among them.
   */
  open(session: ClientHttp2Session): Promise<void> {
    this.#count++;
    return new Promise((resolve, reject) => {
      const stream = startCall(session, `${SERVICE}/Watch`, new Uint8Array());
      let isFirst = true;
      onMessage(stream, (message) => {
        if (isFirst) resolve();
        else this.#hear(message);
        isFirst = false;
      });
      stream.on("error", reject);
      let why = "";
      stream.on(
        "trailers",
        (trailers) => why = String(trailers["grpc-message"]),
      );
      stream.on("close", () => {
        // Nobody listens to a promise that is settled: the process has to end.
        throw new Error(`Cannot measure: a watch has ended: ${why}`);
      });
    });
  }

  /** Waits until all have heard of a change. */
  await(change: string): Promise<readonly number[]> {
    return new Promise((resolve) => {
      this.#awaited.set(change, resolve);
      this.#settle(change);
    });
  }

  #hear(message: Uint8Array): void {
    const heardAt = now();
    const { nodes, routes } = fromBinary(WatchResponseSchema, message);
    const changes = [...nodes.map((n) => n.name), ...routes.map((r) => r.cidr)];
    for (const change of changes) {
      const times = this.#heard.get(change) ?? [];
      times.push(heardAt);
      this.#heard.set(change, times);
      this.#settle(change);
    }
  }

  #settle(change: string): void {
    const times = this.#heard.get(change) ?? [];
    if (times.length < this.#count) return;
    this.#awaited.get(change)?.(times);
    if (this.#awaited.delete(change)) this.#heard.delete(change);
  }
}

const watchers = new Map<number, Watchers>();

async function join(
  { port, first, count, atOnce }: ClusterPhase & { kind: "join" },
): Promise<Joined> {
  const session = await connectHttp2(port);
  const latenciesMs: number[] = [];
  const subnets: string[] = [];
  const last = first + count;
  let next = first;
  async function joinInTurn(): Promise<void> {
    while (next < last) {
      const number = next++;
      const startedAt = performance.now();
      const answer = await callUnary(
        session,
        `${SERVICE}/Join`,
        request(number),
      );
      latenciesMs.push(performance.now() - startedAt);
      subnets.push(...fromBinary(JoinResponseSchema, answer).subnets);
      setTimeout(() => beat(session, number), FIRST_HEARTBEAT_MS);
    }
  }
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: atOnce }, joinInTurn));
  const seconds = (performance.now() - startedAt) / 1000;
  return { seconds, latenciesMs, subnets };
}

function request(number: number): Uint8Array {
  const message = create(JoinRequestSchema, {
    node: `node${number}`,
    instanceId: `instance-${number}`,
    // One of the addresses that are set aside for benchmarks (RFC 2544).
    advertised: [`198.19.${number >> 8}.${number & 255}`],
    apiUrl: `http://198.19.${number >> 8}.${number & 255}:9000`,
  });
  return toBinary(JoinRequestSchema, message);
}

/** Heartbeats that were refused as UNAVAILABLE. */
let refused = 0;

/** Tells that a node is alive, now and as often as the registry says. */
async function beat(
  session: ClientHttp2Session,
  number: number,
): Promise<void> {
  const message = create(HeartbeatRequestSchema, {
    node: `node${number}`,
    instanceId: `instance-${number}`,
  });
  let next = HEARTBEAT_INTERVAL_MS;
  try {
    const answer = await callUnary(
      session,
      `${SERVICE}/Heartbeat`,
      toBinary(HeartbeatRequestSchema, message),
    );
    next = fromBinary(HeartbeatResponseSchema, answer).intervalMs;
  } catch (error) {
    // The store of the registry may not keep up. What is silent too long shows.
    if (!/: 14 /.test(String(error))) throw error;
    if (refused++ === 0) console.error(`The first that was refused: ${error}`);
  }
  setTimeout(() => beat(session, number), next);
}

async function watch(
  { port, count, perConnection }: ClusterPhase & { kind: "watch" },
): Promise<Watching> {
  const group = new Watchers();
  watchers.set(port, group);
  const startedAt = performance.now();
  const connections = Math.ceil(count / perConnection);
  await Promise.all(Array.from({ length: connections }, async (_, i) => {
    const session = await connectHttp2(port);
    const here = Math.min(perConnection, count - i * perConnection);
    await Promise.all(Array.from({ length: here }, () => group.open(session)));
  }));
  return { seconds: (performance.now() - startedAt) / 1000, connections };
}

async function look(port: number): Promise<Looked> {
  const session = await connectHttp2(port);
  const startedAt = performance.now();
  const stream = startCall(session, `${SERVICE}/Watch`, new Uint8Array());
  const message = await new Promise<Uint8Array>((resolve, reject) => {
    onMessage(stream, resolve);
    stream.on("error", reject);
  });
  const ms = performance.now() - startedAt;
  session.destroy();
  return { ms, snapshot: Buffer.from(message).toString("base64") };
}

if (import.meta.main) {
  await answerLines((phase: ClusterPhase) => {
    switch (phase.kind) {
      case "join":
        return join(phase);
      case "watch":
        return watch(phase);
      case "await":
        return watchers.get(phase.port)!.await(phase.change);
      case "look":
        return look(phase.port);
    }
  });
}
