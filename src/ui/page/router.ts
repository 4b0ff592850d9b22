import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { formatPlace, parsePlace, type Place } from "./plan/place.ts";

const current = signal(parsePlace(location.hash));

/** The place that the page shows. */
export const place: ReadonlySignal<Place> = current;

/** The moment that the views show, in ms since 1970. Undefined: now. */
export const moment: ReadonlySignal<number | undefined> = computed(() => {
  const ms = Date.parse(current.value.params.at ?? "");
  return Number.isNaN(ms) ? undefined : ms;
});

/** Follows the URL's fragment. */
export function startRouter(): void {
  addEventListener("hashchange", () => {
    current.value = parsePlace(location.hash);
  });
  const shown = computed(() => {
    const { view, params } = current.value;
    return `${view} ${params.name ?? ""}`;
  });
  let isFirst = true;
  effect(() => {
    void shown.value;
    if (!isFirst) requestAnimationFrame(beginView);
    isFirst = false;
  });
}

/** A new view begins at its top. The link that led to it may be gone with the focus. */
function beginView(): void {
  scrollTo(0, 0);
  if (document.activeElement === document.body) {
    document.getElementById("main")?.focus();
  }
}

/** A link to a place, at the moment that the views show now. */
export function linkTo(
  view: Place["view"],
  params: Readonly<Record<string, string | undefined>> = {},
): string {
  return formatPlace(view, { at: current.value.params.at, ...params });
}

/** Goes to a place; `replace` leaves no entry in the browser's history. */
export function go(
  view: Place["view"],
  params: Readonly<Record<string, string | undefined>> = {},
  { replace = false }: { readonly replace?: boolean } = {},
): void {
  const fragment = linkTo(view, params);
  if (replace) history.replaceState(null, "", fragment);
  else history.pushState(null, "", fragment);
  current.value = parsePlace(fragment);
}

/** Changes parameters of the present place; undefined removes one. */
export function setParams(
  params: Readonly<Record<string, string | undefined>>,
  options: { readonly replace?: boolean } = {},
): void {
  const { view, params: before } = current.value;
  go(view, { ...before, ...params }, options);
}
