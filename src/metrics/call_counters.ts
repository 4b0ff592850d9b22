import { Code } from "@connectrpc/connect";
import { Counter, Histogram, type Registry } from "prom-client";
import type { CallMetrics } from "./call_metrics.ts";
import { Tally } from "./series.ts";

type Method = Parameters<CallMetrics["ended"]>[0];

/** Bounds in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10];

/** The series of one method. */
interface MethodSeries {
  readonly byCode: Map<Code | undefined, Tally>;
  readonly seconds: Histogram.Internal<string> | undefined;
}

/** Counts the calls that a server has answered. */
export class CallCounters implements CallMetrics {
  readonly #calls: Counter;
  readonly #seconds: Histogram;
  readonly #methods = new Map<Method, MethodSeries>();

  constructor(register: Registry) {
    this.#calls = new Counter({
      name: "stellar_net_rpc_calls_total",
      help: "Calls that have ended, by service, method and code of gRPC.",
      labelNames: ["service", "method", "code"],
      registers: [register],
    });
    this.#seconds = new Histogram({
      name: "stellar_net_rpc_call_duration_seconds",
      help: "Time from the start of a call to its answer; streams left out.",
      labelNames: ["service", "method"],
      buckets: SECONDS,
      registers: [register],
    });
  }

  /** Makes what was counted visible. */
  flush(): void {
    for (const { byCode } of this.#methods.values()) {
      for (const tally of byCode.values()) tally.flush();
    }
  }

  clock(): number {
    return performance.now();
  }

  ended(
    method: Method,
    { code, startedAtMs }: Parameters<CallMetrics["ended"]>[1],
  ): void {
    const series = this.#methods.get(method) ?? this.#add(method);
    let tally = series.byCode.get(code);
    if (!tally) {
      const end = code === undefined ? "OK" : Code[code];
      const { parent, name } = method;
      tally = new Tally(this.#calls.labels(parent.typeName, name, end));
      series.byCode.set(code, tally);
    }
    tally.inc();
    series.seconds?.observe((performance.now() - startedAtMs) / 1000);
  }

  #add(method: Method): MethodSeries {
    const series: MethodSeries = {
      byCode: new Map(),
      // How long a stream lasts is up to its caller.
      seconds: method.methodKind === "unary"
        ? this.#seconds.labels(method.parent.typeName, method.name)
        : undefined,
    };
    this.#methods.set(method, series);
    return series;
  }
}
