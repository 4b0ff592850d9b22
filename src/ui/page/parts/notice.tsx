import type { ComponentChildren, JSX } from "preact";
import type { Loaded } from "./use_load.ts";

/** A text in place of something that is not there, and what to do. */
export function Notice({ title, children }: {
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="notice">
      <p class="title">{title}</p>
      {children}
    </div>
  );
}

/** What has been loaded, or why there is nothing yet. */
export function Loading<T>({ loaded, what, children }: {
  readonly loaded: Loaded<T>;
  /** Such as "the events". */
  readonly what: string;
  readonly children: (value: T) => ComponentChildren;
}): JSX.Element {
  if (loaded.value !== undefined) {
    return (
      <>
        {loaded.why !== undefined &&
          (
            <p class="aside is-warning" role="status">
              Not up to date: {loaded.why}
            </p>
          )}
        {children(loaded.value)}
      </>
    );
  }
  return loaded.why === undefined
    ? <p class="aside" role="status">Loading {what}…</p>
    : (
      <p class="aside is-warning" role="status">
        Cannot load {what}: {loaded.why}
      </p>
    );
}
