import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { formatAgo, formatUtcMs } from "../../../base/duration.ts";
import { nowMs } from "../clock.ts";

/** The age of a moment, which grows by itself; the moment itself is its title. */
export function Ago(
  { at }: { readonly at: Timestamp | undefined },
): JSX.Element {
  return at ? <AgoMs ms={timestampMs(at)} /> : <span>–</span>;
}

/** The same of a time in ms since 1970. */
export function AgoMs({ ms }: { readonly ms: number }): JSX.Element {
  return <AgeOf key={ms} ms={ms} />;
}

function AgeOf({ ms }: { readonly ms: number }): JSX.Element {
  const text = useComputed(() => formatAgo(nowMs.value - ms));
  return (
    <time
      dateTime={new Date(ms).toISOString()}
      title={formatUtcMs(ms)}
      // No screen reader reads a second that has passed.
      aria-live="off"
    >
      {text}
    </time>
  );
}

/** A moment as such: `2026-01-02 03:04:05Z`. */
export function At(
  { at }: { readonly at: Timestamp | undefined },
): JSX.Element {
  if (!at) return <span>–</span>;
  const ms = timestampMs(at);
  return <time dateTime={new Date(ms).toISOString()}>{formatUtcMs(ms)}</time>;
}
