import { Counter, Gauge, type Registry } from "prom-client";

/** A value and the labels of its series. */
export type Sample = readonly [
  value: number,
  labels?: Readonly<Record<string, string>>,
];

/** A metric that is read for each exposition. */
export interface ReadMetric<T> {
  /** Without the table's prefix. */
  readonly name: string;
  readonly help: string;
  /** Default: a gauge. */
  readonly type?: "counter";
  readonly labels?: readonly string[];
  /** Empty: nothing is known. */
  readonly read: (from: T) => readonly Sample[];
}

/** Makes the metrics of a table. The returned function sets them; without a reading it removes their values. */
export function createReadMetrics<T>(
  register: Registry,
  table: readonly ReadMetric<T>[],
  prefix: string,
): (from: T | undefined) => void {
  const metrics = table.map(({ name, help, type, labels = [], read }) => {
    const options = {
      name: `${prefix}${name}`,
      help,
      labelNames: [...labels],
      registers: [register],
    };
    const metric = type === "counter"
      ? new Counter(options)
      : new Gauge(options);
    // A reset of a metric without labels would set it to 0, which is a value.
    const clear = labels.length > 0
      ? () => metric.reset()
      : () => metric.remove({});
    return { metric, clear, read };
  });
  return (from) => {
    for (const { metric, clear, read } of metrics) {
      clear();
      const samples = from === undefined ? [] : read(from);
      for (const [value, labels = {}] of samples) metric.inc(labels, value);
    }
  };
}
