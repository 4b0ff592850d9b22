/**
 * Moves the focus among the links and buttons of an element with the arrow
 * keys, Home and End: in a list up and down, in a grid to all sides.
 */
export function moveWithArrows(event: KeyboardEvent): void {
  const { key, currentTarget, target } = event;
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (!(currentTarget instanceof HTMLElement)) return;
  const items = [
    ...currentTarget.querySelectorAll<HTMLElement>("[data-item]"),
  ].filter((item) => item.offsetParent !== null);
  const at = items.indexOf(target as HTMLElement);
  if (at < 0) return;
  const next = nextItem(items, at, key);
  if (!next) return;
  event.preventDefault();
  // One item of many is in the order of the Tab key.
  if (items[at]!.hasAttribute("tabindex")) {
    items[at]!.tabIndex = -1;
    next.tabIndex = 0;
  }
  next.focus();
}

function nextItem(
  items: readonly HTMLElement[],
  at: number,
  key: string,
): HTMLElement | undefined {
  switch (key) {
    case "ArrowRight":
      return items[at + 1];
    case "ArrowLeft":
      return items[at - 1];
    case "ArrowDown":
      return below(items.slice(at), items[at]!);
    case "ArrowUp":
      return below(items.slice(0, at + 1).reverse(), items[at]!);
    case "Home":
      return items[0];
    case "End":
      return items.at(-1);
    default:
      return undefined;
  }
}

/** The nearest item of the next row, in the order in which they are given. */
function below(
  items: readonly HTMLElement[],
  from: HTMLElement,
): HTMLElement | undefined {
  const { top, left } = from.getBoundingClientRect();
  let best: { readonly item: HTMLElement; readonly off: number } | undefined;
  let row: number | undefined;
  for (const item of items) {
    const box = item.getBoundingClientRect();
    if (Math.abs(box.top - top) < 2) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) >= 2) break;
    const off = Math.abs(box.left - left);
    if (!best || off < best.off) best = { item, off };
  }
  return best?.item;
}
