import { TITLES, VIEWS } from "./plan/place.ts";
import { go, setParams } from "./router.ts";

/** The keys that work in all views. */
export const KEYS: readonly { readonly keys: string; readonly does: string }[] =
  [
    { keys: "/", does: "search" },
    { keys: "?", does: "this help" },
    ...VIEWS.filter((view) => view !== "search").map((view, i) => ({
      keys: String(i + 1),
      does: TITLES[view],
    })),
    { keys: "← ↑ → ↓", does: "move in a map, a grid or a list" },
    { keys: "Home End", does: "go to its first or last item" },
    { keys: "Enter", does: "open what has the focus" },
    { keys: "n", does: "go back to now from an earlier moment" },
    { keys: "Esc", does: "leave the search or close the help" },
  ];

/** Follows the keyboard. @param actions what the keys `/` and `?` do */
export function startKeyboard(
  actions: { readonly search: () => void; readonly help: () => void },
): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey) return;
    if (event.altKey) return;
    const { target, key } = event;
    if (isField(target)) {
      if (key === "Escape") (target as HTMLElement).blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const view = VIEWS[Number(key) - 1];
    if (key === "/") actions.search();
    else if (key === "?") actions.help();
    else if (key === "n") setParams({ at: undefined });
    else if (view !== undefined && view !== "search") go(view);
    else return;
    event.preventDefault();
  });
}

/** Whether keys are text there. */
function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement;
}
