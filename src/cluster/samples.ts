import type { JsonValue, Key, Store } from "../store/store.ts";
import {
  findFullAt,
  type Forecast,
  forecast,
  HOUR_MS,
  MAX_BASIS_MS,
} from "./plan/forecast.ts";

/** Prefix of the samples in a node's own store. */
const SAMPLE_PREFIX: Key = ["sample"];
/** Time for which a trend counts, in ms. */
const TREND_MS = 600_000;
/** Subjects that are sampled; more than a host has subnets. */
const MAX_SUBJECTS = 64;

/** A count to sample, such as the held addresses of a subnet. */
export interface Counted {
  /** The subnet in canonical form. */
  readonly subject: string;
  readonly count: number;
  readonly capacity: number;
}

/** Hourly counts of a host's own subnets, from which it forecasts. */
export class Samples {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #counts = new Map<string, Map<number, number>>();
  /** The trends by subject: thousands of slopes, which change little within minutes. */
  readonly #trends = new Map<
    string,
    { readonly trend: Forecast | undefined; readonly atMs: number }
  >();

  private constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Reads the samples that the store has. */
  static async open(
    options: { readonly store: Store; readonly now: () => number },
  ): Promise<Samples> {
    const samples = new Samples(options.store, options.now);
    for await (const { key, value } of options.store.list(SAMPLE_PREFIX)) {
      const [, subject, hour] = key;
      if (typeof value !== "number") continue;
      samples.#of(String(subject)).set(Number(hour), value);
    }
    return samples;
  }

  /** Keeps one sample of each count for the present hour, and drops old ones. */
  async take(counted: readonly Counted[]): Promise<void> {
    const hour = Math.floor(this.#now() / HOUR_MS);
    const oldest = hour - MAX_BASIS_MS / HOUR_MS;
    const puts: { key: Key; value: JsonValue }[] = [];
    const deletes: Key[] = [];
    for (const { subject, count } of counted.slice(0, MAX_SUBJECTS)) {
      const counts = this.#of(subject);
      if (!counts.has(hour)) {
        this.#trends.delete(subject);
        counts.set(hour, count);
        puts.push({ key: [...SAMPLE_PREFIX, subject, hour], value: count });
      }
    }
    const subjects = new Set(counted.map(({ subject }) => subject));
    for (const [subject, counts] of this.#counts) {
      for (const at of counts.keys()) {
        // A subnet that was given back has no future.
        if (at >= oldest && at <= hour && subjects.has(subject)) continue;
        counts.delete(at);
        deletes.push([...SAMPLE_PREFIX, subject, at]);
      }
    }
    const most = this.#store.limits.maxMutations / 2;
    deletes.splice(Math.max(0, Math.floor(most)));
    if (puts.length + deletes.length > 0) {
      await this.#store.commit({ puts, deletes });
    }
  }

  /** Forecasts when a count reaches its capacity. */
  forecast(counted: Counted): Forecast | undefined {
    const { subject, count, capacity } = counted;
    const nowMs = this.#now();
    const known = this.#trends.get(subject);
    const isRecent = known !== undefined && nowMs >= known.atMs &&
      nowMs - known.atMs < TREND_MS;
    if (!isRecent) {
      const trend = this.#forecast(counted, nowMs);
      this.#trends.set(subject, { trend, atMs: nowMs });
      return trend;
    }
    const { trend } = known;
    if (!trend) return undefined;
    const { perDay } = trend;
    const fullAtMs = findFullAt({ atMs: nowMs, count }, { perDay, capacity });
    return { ...trend, fullAtMs };
  }

  #forecast(
    { subject, count, capacity }: Counted,
    nowMs: number,
  ): Forecast | undefined {
    const samples = [...this.#of(subject)]
      .map(([hour, count]) => ({ atMs: hour * HOUR_MS, count }));
    return forecast([...samples, { atMs: nowMs, count }], { capacity, nowMs });
  }

  #of(subject: string): Map<number, number> {
    const counts = this.#counts.get(subject) ?? new Map<number, number>();
    this.#counts.set(subject, counts);
    return counts;
  }
}
