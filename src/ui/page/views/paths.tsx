import type { JSX } from "preact";

export function PathsView(): JSX.Element {
  return <h1>Paths</h1>;
}
