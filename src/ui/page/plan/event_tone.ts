import type { EventKind } from "../../../cluster/plan/events.ts";

/** Whether an event brings trouble, ends it, or is news. */
export type Tone = "bad" | "warning" | "good" | "news";

export const TONE_LOOKS: Readonly<
  Record<Tone, { readonly label: string; readonly sign: string }>
> = {
  bad: { label: "trouble", sign: "\u2715" },
  warning: { label: "warning", sign: "!" },
  good: { label: "solved", sign: "\u2713" },
  news: { label: "change", sign: "\u2022" },
};

const TONES: Readonly<Record<EventKind, Tone>> = {
  joined: "news",
  left: "news",
  unreachable: "bad",
  back: "good",
  fenced: "bad",
  removal: "news",
  "subnet claimed": "news",
  "subnet grown": "news",
  "subnet returned": "news",
  "subnet in conflict": "bad",
  "route added": "news",
  "route deleted": "news",
  restarted: "news",
  upgraded: "news",
  "filling up": "warning",
  "leaks released": "news",
  "route in conflict": "bad",
  "route unresolved": "bad",
  "route repaired": "good",
  "registry lost": "bad",
  "registry found": "good",
  "certificate expiring": "warning",
  "certificate renewed": "good",
  "path dead": "bad",
  "path lossy": "warning",
  "path narrow": "warning",
  "path alive": "good",
  // Its severity is not recorded: the problem itself has it while it lasts.
  problem: "warning",
  solved: "good",
};

/** The tone of an event of a kind; a kind of a newer program is news. */
export function toneOf(kind: string): Tone {
  return Object.hasOwn(TONES, kind) ? TONES[kind as EventKind] : "news";
}
