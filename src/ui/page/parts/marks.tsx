import type { JSX } from "preact";
import { type Tone, TONE_LOOKS } from "../plan/event_tone.ts";
import { type Condition, CONDITION_LOOKS } from "../plan/host_status.ts";

/** The condition of a host as a sign in its colour, with its word. */
export function ConditionMark(
  { condition, isShort = false }: {
    readonly condition: Condition;
    /** Whether the word is for screen readers alone. */
    readonly isShort?: boolean;
  },
): JSX.Element {
  return (
    <Mark {...CONDITION_LOOKS[condition]} kind={condition} isShort={isShort} />
  );
}

/** The tone of an event in the same way; its word is for screen readers alone. */
export function ToneMark({ tone }: { readonly tone: Tone }): JSX.Element {
  return <Mark {...TONE_LOOKS[tone]} kind={tone} isShort />;
}

/** A sign in a colour, with a word. @param kind the name of its colours */
export function Mark({ kind, sign, label, isShort = false }: {
  readonly kind: string;
  readonly sign: string;
  readonly label: string;
  readonly isShort?: boolean;
}): JSX.Element {
  return (
    <span class={`mark is-${kind}`}>
      <span class="sign" aria-hidden="true">{sign}</span>
      <span class={isShort ? "unseen" : undefined}>{label}</span>
    </span>
  );
}
