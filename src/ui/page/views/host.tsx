import type { JSX } from "preact";

export function HostView(): JSX.Element {
  return <h1>Host</h1>;
}
