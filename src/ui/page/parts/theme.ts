import { type ReadonlySignal, signal } from "@preact/signals";
import type { Theme } from "../plan/palette.ts";

const DARK = matchMedia("(prefers-color-scheme: dark)");
const current = signal<Theme>(DARK.matches ? "dark" : "light");
DARK.addEventListener("change", () => {
  current.value = DARK.matches ? "dark" : "light";
});

/** The colours that the browser wants, for what style sheets do not reach. */
export const theme: ReadonlySignal<Theme> = current;
