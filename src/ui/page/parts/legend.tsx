import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { CellUse } from "../plan/cell_use.ts";
import { countStates } from "../plan/paint.ts";
import type { Look } from "../plan/palette.ts";
import { formatCount } from "../plan/space_text.ts";
import { linkTo, place } from "../router.ts";
import { drawSample } from "./draw_map.ts";
import { theme } from "./theme.ts";

const SIZE_PX = 14;

/** The look of a state, as a map shows it. */
export function Sample({ look }: { readonly look: Look }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const of = theme.value;
  useEffect(() => {
    const scale = devicePixelRatio;
    canvas.current!.width = canvas.current!.height = SIZE_PX * scale;
    const context = canvas.current!.getContext("2d");
    context?.setTransform(scale, 0, 0, scale, 0, 0);
    if (context) drawSample(context, look, { theme: of, sizePx: SIZE_PX });
  }, [look, of]);
  return <canvas ref={canvas} class="sample" aria-hidden="true" />;
}

/** An entry of a legend. */
export interface LegendEntry {
  readonly look: Look | undefined;
  readonly text: string;
  /** Leads to the items that it counts. */
  readonly href: string | undefined;
  readonly isChosen: boolean;
}

/** The states of a map with their numbers. */
export function Legend(
  { entries, label }: {
    readonly entries: readonly LegendEntry[];
    readonly label: string;
  },
): JSX.Element {
  return (
    <ul class="legend" aria-label={label}>
      {entries.map(({ look, text, href, isChosen }) => (
        <li key={text}>
          {look && <Sample look={look} />} {href === undefined
            ? text
            : (
              <a href={href} aria-current={isChosen ? "true" : undefined}>
                {text}
              </a>
            )}
        </li>
      ))}
    </ul>
  );
}

/** The numbers of a level of the map by state, each with a link to its items. */
export function SpaceLegend<State extends string>(
  { uses, unit, total, looks, states }: {
    readonly uses: readonly (CellUse<State> | undefined)[];
    /** Items of a cell. */
    readonly unit: number;
    /** Items of all cells. */
    readonly total: number;
    readonly looks: Readonly<Record<State, Look>>;
    readonly states: readonly State[];
  },
): JSX.Element {
  const counts = countStates(uses, unit);
  const taken = [...counts.values()].reduce((a, b) => a + b, 0);
  const { params } = place.value;
  const entries = states.toReversed().map((state) => {
    const isChosen = params.show === state;
    const show = isChosen ? undefined : state;
    return {
      look: looks[state],
      text: `${formatCount(counts.get(state) ?? 0)} ${looks[state].label}`,
      href: linkTo("space", { ...params, show }),
      isChosen,
    };
  });
  const free = {
    ...{ look: undefined, href: undefined, isChosen: false },
    text: `${formatCount(Math.max(0, total - taken))} free`,
  };
  return <Legend label="Numbers by state" entries={[...entries, free]} />;
}
