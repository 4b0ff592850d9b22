import type { JSX } from "preact";

/** A part of a meter. */
export interface MeterPart {
  /** The name of its colour: `held`, `cooling`, `owned`, `blocked`. */
  readonly kind: string;
  readonly amount: number;
  readonly label: string;
}

/** How much of a whole is in use, by kinds, as a bar. */
export function Meter({ parts, whole, label }: {
  readonly parts: readonly MeterPart[];
  readonly whole: number;
  /** What it measures, for screen readers. */
  readonly label: string;
}): JSX.Element {
  const words = parts.map(({ amount, label }) => `${amount} ${label}`)
    .join(", ");
  return (
    <span
      class="meter"
      role="img"
      aria-label={`${label}: ${words} of ${whole}`}
    >
      {parts.filter(({ amount }) => amount > 0 && whole > 0).map((
        { kind, amount },
      ) => (
        <span
          key={kind}
          class={`bar is-${kind}`}
          style={{ width: `${Math.max(0.5, 100 * amount / whole)}%` }}
        />
      ))}
    </span>
  );
}
