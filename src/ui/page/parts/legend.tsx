import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Look } from "../plan/palette.ts";
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
  return (
    <canvas
      ref={canvas}
      class="sample"
      width={SIZE_PX}
      height={SIZE_PX}
      aria-hidden="true"
    />
  );
}

/** An entry of a legend: how many there are, with a link to them. */
export interface LegendEntry {
  readonly look: Look | undefined;
  readonly label: string;
  readonly count: string;
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
      {entries.map(({ look, label: name, count, href, isChosen }) => (
        <li key={name}>
          {look && <Sample look={look} />}
          {href === undefined
            ? <span>{`${count} ${name}`}</span>
            : (
              <a href={href} aria-current={isChosen ? "true" : undefined}>
                {`${count} ${name}`}
              </a>
            )}
        </li>
      ))}
    </ul>
  );
}
