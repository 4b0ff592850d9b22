/**
 * Allocates, releases and changes routes without pause, in a process of its
 * own, as it is told on standard input: one {@linkcode SoakPeriod} a line. Each
 * is answered with one {@linkcode SoakCalls} a line.
 *
 * Arguments: the path of the agent's socket, and the next hop of routes.
 */
import { createGrpcJsClient } from "../support/grpc_js.ts";
import { answerLines } from "./line_process.ts";
import { SERVICE } from "./load_client.ts";
import { percentile } from "./percentile.ts";

const FILE = "stellar/services/network/v1/network.proto";
/** Containers come and go side by side; routes are changed by one more. */
const WORKERS = 4;

/** For how long calls are made, and how much there is at any time. */
export interface SoakPeriod {
  readonly seconds: number;
  readonly addresses: number;
  readonly routes: number;
}

/** The calls of a period, by what they do. */
export type SoakCalls = Readonly<
  Record<"allocate" | "release" | "route", SoakLatency>
>;

/** How long calls took, in ms. */
export interface SoakLatency {
  readonly count: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** What is held at the moment: it outlives a period. */
const held = Array.from({ length: WORKERS }, (): string[] => []);
const routes: string[] = [];
let made = 0;

async function run(
  period: SoakPeriod,
  { call, nextHop }: {
    readonly call: (method: string, request: object) => Promise<unknown>;
    readonly nextHop: string;
  },
): Promise<SoakCalls> {
  const latenciesMs = {
    allocate: [] as number[],
    release: [] as number[],
    route: [] as number[],
  };
  const end = performance.now() + period.seconds * 1000;
  async function timed(
    kind: keyof SoakCalls,
    method: string,
    request: object,
  ): Promise<void> {
    const startedAt = performance.now();
    await call(method, request);
    latenciesMs[kind].push(performance.now() - startedAt);
  }
  async function comeAndGo(ids: string[]): Promise<void> {
    while (performance.now() < end) {
      const id = `container-${made++}`;
      ids.push(id);
      await timed("allocate", "AllocateIP", { id, node: "node1" });
      if (ids.length * WORKERS <= period.addresses) continue;
      await timed("release", "ReleaseIP", { id: ids.shift(), node: "node1" });
    }
  }
  async function changeRoutes(): Promise<void> {
    while (performance.now() < end) {
      const number = made++;
      const cidr = `100.${64 + (number >> 8) % 64}.${number % 256}.0/24`;
      routes.push(cidr);
      await timed("route", "AddRoute", { cidr, target: nextHop });
      if (routes.length <= period.routes) continue;
      const oldest = { cidr: routes.shift(), target: nextHop };
      await timed("route", "DeleteRoute", oldest);
    }
  }
  await Promise.all([...held.map(comeAndGo), changeRoutes()]);
  return {
    allocate: summarize(latenciesMs.allocate),
    release: summarize(latenciesMs.release),
    route: summarize(latenciesMs.route),
  };
}

function summarize(latenciesMs: readonly number[]): SoakLatency {
  return {
    count: latenciesMs.length,
    medianMs: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };
}

if (import.meta.main) {
  const [socketPath, nextHop] = Deno.args as [string, string];
  const client = createGrpcJsClient(`unix:${socketPath}`, {
    file: FILE,
    service: SERVICE,
  });
  await answerLines((period: SoakPeriod) =>
    run(period, {
      call: (method, request) => client.call(method, { ...request }),
      nextHop,
    })
  );
}
