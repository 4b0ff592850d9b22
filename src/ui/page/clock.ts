import { computed, type ReadonlySignal, signal } from "@preact/signals";

const browserMs = signal(Date.now());
const offsetMs = signal(0);

/** A clock that is off by less than this is taken for right: messages take time. */
const TOLERANCE_MS = 2_000;

/** The time by the agent's clock, to the second, in ms since 1970. */
export const nowMs: ReadonlySignal<number> = computed(() =>
  browserMs.value + offsetMs.value
);

/** Learns the agent's clock from a time that it has just sent. */
export function setAgentTime(ms: number): void {
  const offset = ms - Date.now();
  offsetMs.value = Math.abs(offset) < TOLERANCE_MS ? 0 : offset;
}

/** Moves the clock every second while the page is visible. */
export function startClock(): void {
  const tick = () => {
    if (!document.hidden) browserMs.value = Date.now();
  };
  setInterval(tick, 1_000);
  document.addEventListener("visibilitychange", tick);
}
