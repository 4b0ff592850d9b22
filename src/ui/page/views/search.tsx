import type { JSX } from "preact";

export function SearchView(): JSX.Element {
  return <h1>Search</h1>;
}
