/** One series of Prometheus' text format. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/g;

/** Reads Prometheus' text format (version 0.0.4). @throws {Error} naming an invalid line */
export function parseExposition(text: string): Series[] {
  return text.split("\n").filter((line) => line !== "" && line[0] !== "#")
    .map((line) => {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!match) throw new Error(`Cannot read the metrics: ${line}`);
      const labels = [...(match[2] ?? "").matchAll(LABEL)]
        .map(([, name, value]) => [name!, value!]);
      return {
        name: match[1]!,
        labels: Object.fromEntries(labels),
        value: Number(match[3]),
      };
    });
}

/** The values of a metric by the values of its labels, joined by spaces; "" for none. */
export function valuesOf(
  text: string,
  name: string,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    parseExposition(text).filter((series) => series.name === name)
      .map(({ labels, value }) => [Object.values(labels).join(" "), value]),
  );
}
