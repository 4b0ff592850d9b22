/**
 * Makes calls to an agent, in a process of its own, as it is told on standard
 * input: one {@linkcode LoadPhase} a line. Each is answered with one
 * {@linkcode LoadResult} a line.
 *
 * Arguments: the kind of client, and the agent's port on 127.0.0.1.
 */
import process from "node:process";
import { createGrpcJsClient } from "../support/grpc_js.ts";
import { answerLines } from "./line_process.ts";

const FILE = "stellar/services/network/v1/network.proto";
/** The service that is called. */
export const SERVICE = "stellar.services.network.v1.Network";

/** `grpc-js`: gRPC on one connection; `fetch`: Connect with JSON over HTTP/1.1. */
export type LoadClientKind = "grpc-js" | "fetch";

/** Calls of one kind: one for each of some containers. */
export interface LoadPhase {
  readonly method: "AllocateIP" | "ReleaseIP" | "GetIP";
  /** Number of the first container, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** How many calls are under way at once. */
  readonly atOnce: number;
}

/** What a phase took. */
export interface LoadResult {
  readonly seconds: number;
  /** Of each call, in ms, in rising order. */
  readonly latenciesMs: readonly number[];
  /** Processor time of this process. */
  readonly processorMs: number;
}

type Call = (
  method: string,
  request: Record<string, string>,
) => Promise<unknown>;

function createCall(kind: LoadClientKind, port: number): Call {
  if (kind === "grpc-js") {
    const client = createGrpcJsClient(`127.0.0.1:${port}`, {
      file: FILE,
      service: SERVICE,
    });
    return (method, request) => client.call(method, request);
  }
  const headers = { "content-type": "application/json" };
  return async (method, request) => {
    const response = await fetch(
      `http://127.0.0.1:${port}/${SERVICE}/${method}`,
      { method: "POST", headers, body: JSON.stringify(request) },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(`Cannot call ${method}: ${text}`);
  };
}

async function run(call: Call, phase: LoadPhase): Promise<LoadResult> {
  const { method, first, count, atOnce } = phase;
  const latenciesMs: number[] = [];
  let next = first;
  async function callInTurn(): Promise<void> {
    while (next < first + count) {
      const id = `container-${next++}`;
      const startedAt = performance.now();
      await call(method, { id, node: "node1" });
      latenciesMs.push(performance.now() - startedAt);
    }
  }
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: atOnce }, callInTurn));
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(before);
  latenciesMs.sort((a, b) => a - b);
  return { seconds, latenciesMs, processorMs: (user + system) / 1000 };
}

if (import.meta.main) {
  const [kind, port] = Deno.args;
  const call = createCall(kind as LoadClientKind, Number(port));
  await answerLines((phase: LoadPhase) => run(call, phase));
}
