import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Theme } from "../plan/palette.ts";
import { theme } from "./theme.ts";

const HEIGHT_PX = 150;
const INK: Readonly<Record<Theme, { text: string; line: string }>> = {
  light: { text: "#3d4653", line: "#dfe4ea" },
  dark: { text: "#b9c2ce", line: "#2b3340" },
};

/** One line of a chart. */
export interface CurveSeries {
  readonly label: string;
  /** A gap where it is null. */
  readonly values: readonly (number | null)[];
  readonly colours: Readonly<Record<Theme, string>>;
  /** Lengths of dashes and gaps, so that lines differ without colours. Default: none. */
  readonly dash?: readonly number[];
}

/** A chart over time. What it shows stands beside it as text, too. */
export function Curve(
  { label, unit, least, times, series }: {
    readonly label: string;
    readonly unit: string;
    /** The chart reaches up to this value at least. */
    readonly least: number;
    /** In seconds since 1970. */
    readonly times: readonly number[];
    readonly series: readonly CurveSeries[];
  },
): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const of = theme.value;
  const data = [times, ...series.map(({ values }) => values)];
  const shape = series.map((each) => each.label).join();
  useEffect(() => {
    const { text, line } = INK[of];
    const axis = {
      ...{ stroke: text, grid: { stroke: line, width: 1 } },
      ticks: { stroke: line, width: 1 },
    };
    const width = Math.max(100, box.current!.clientWidth);
    const made = new uPlot(
      {
        ...{ width, height: HEIGHT_PX, legend: { show: false } },
        cursor: { show: false },
        scales: {
          y: { range: (_, __, most) => [0, Math.max(most * 1.1, least)] },
        },
        axes: [{
          ...{ ...axis, space: 80 },
          values: (_, splits) => splits.map(timeOf),
        }, {
          ...{ ...axis, size: 64 },
          values: (_, splits) =>
            splits.map((value) => `${+value.toFixed(3)} ${unit}`),
        }],
        series: [
          {},
          ...series.map(({ label: name, colours, dash }) => ({
            ...{ label: name, stroke: colours[of], width: 2 },
            ...dash && { dash: [...dash] },
            points: { show: false },
          })),
        ],
      },
      data as uPlot.AlignedData,
      box.current!,
    );
    chart.current = made;
    const sizes = new ResizeObserver(() => {
      const next = box.current?.clientWidth ?? 0;
      if (next > 0) made.setSize({ width: next, height: HEIGHT_PX });
    });
    sizes.observe(box.current!);
    return () => {
      sizes.disconnect();
      made.destroy();
    };
  }, [of, shape, unit]);
  useEffect(() => chart.current?.setData(data as uPlot.AlignedData), [times]);
  return (
    <figure class="curve">
      <figcaption>
        {label}
        {series.length > 1 &&
          `: ${
            series.map(({ label: name, dash }) =>
              `${name} ${dash ? "dashed" : "solid"}`
            ).join(", ")
          }`}
      </figcaption>
      <div ref={box} aria-hidden="true" />
    </figure>
  );
}

/** A time of day of UTC: `03:04:05`. */
function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19);
}
