import type { Series } from "./exposition.ts";

/** A metric that a query of PromQL reads. */
export interface Selector {
  readonly metric: string;
  /** Label, operator and value. */
  readonly matchers: readonly (readonly [string, string, string])[];
}

/** What Prometheus adds to every series, and what groups of buckets have. */
const ADDED = ["job", "instance"];
/** Labels whose values come with use. */
const OPEN = ["code", "method", "mode", "service"];

/** The metrics of this project and its process that a query reads. */
export function selectorsOf(query: string): Selector[] {
  return [...query.matchAll(/\b((?:stellar_net|process)_\w+)(?:\{([^}]*)\})?/g)]
    .map(([, metric, inner = ""]) => ({
      metric: metric!,
      matchers: [...inner.matchAll(/(\w+)(=~|!=|!~|=)"([^"]*)"/g)]
        .map(([, label, operator, value]) => [label!, operator!, value!]),
    }));
}

/**
 * What a query names that is not there: metrics, labels, and values of labels
 * that are known from the start.
 */
export function missingIn(query: string, series: readonly Series[]): string[] {
  const missing: string[] = [];
  const selectors = selectorsOf(query);
  if (selectors.length === 0) missing.push("a metric");
  const labels = new Set(ADDED);
  for (const { metric, matchers } of selectors) {
    const found = series.filter(({ name }) => name === metric);
    if (found.length === 0) missing.push(metric);
    for (const name of found.flatMap((one) => Object.keys(one.labels))) {
      labels.add(name);
    }
    for (const [label, operator, value] of matchers) {
      if (ADDED.includes(label)) continue;
      const pattern = operator.endsWith("~") ? value : escapeRegExp(value);
      const has = found.some(({ labels }) =>
        OPEN.includes(label)
          ? label in labels
          : new RegExp(`^(?:${pattern})$`).test(labels[label] ?? "")
      );
      if (!has) missing.push(`${metric}{${label}${operator}"${value}"}`);
    }
  }
  const groups = /\b(?:by|on|ignoring|without|group_left) \(([^)]*)\)/g;
  for (const [, names] of query.matchAll(groups)) {
    for (const name of names!.split(",").map((name) => name.trim())) {
      if (!labels.has(name)) missing.push(`label ${name}`);
    }
  }
  return missing;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
