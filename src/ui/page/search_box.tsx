import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { go, place } from "./router.ts";

/** Id of the field, which the key `/` goes to. */
export const SEARCH_ID = "search";

/** Time after the last key press until the search begins, in ms. */
const PAUSE_MS = 300;

let timer: ReturnType<typeof setTimeout> | undefined;

/** The search field of all views. */
export function SearchBox(): JSX.Element {
  const { view, params } = place.value;
  const text = view === "search" ? params.q ?? "" : "";
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // Whoever is typing is ahead of the place.
    const { current } = field;
    if (current && document.activeElement !== current) current.value = text;
  }, [text]);
  const search = (q: string) => {
    clearTimeout(timer);
    // One entry of the browser's history for a whole search.
    go("search", { q }, { replace: place.value.view === "search" });
  };
  return (
    <form
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        search(field.current?.value ?? "");
        requestAnimationFrame(focusFirst);
      }}
    >
      <label class="unseen" for={SEARCH_ID}>
        Search for an address, a prefix, a container, a host or a MAC address
      </label>
      <input
        id={SEARCH_ID}
        name="q"
        type="search"
        placeholder="Search: address, container, host …"
        autocomplete="off"
        spellcheck={false}
        ref={field}
        defaultValue={text}
        onInput={({ currentTarget: { value } }) => {
          clearTimeout(timer);
          timer = setTimeout(() => search(value), PAUSE_MS);
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

/** Goes on to the first match that is there, or to where matches will be. */
function focusFirst(): void {
  const main = document.getElementById("main");
  (main?.querySelector<HTMLElement>("[data-item]") ?? main)?.focus();
}
