import type { JSX } from "preact";

export function SpaceView(): JSX.Element {
  return <h1>Space</h1>;
}
