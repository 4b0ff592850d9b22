import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

/**
 * A field whose text counts once it is whole: with Enter, or when the focus goes.
 * Until then nothing takes back what is typed, however often the view changes.
 */
export function Field({ type, value, onCommit, list, step }: {
  readonly type: "search" | "datetime-local";
  readonly value: string;
  readonly onCommit: (text: string) => void;
  /** Id of the list of suggestions. */
  readonly list?: string;
  readonly step?: string;
}): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (field.current) field.current.value = value;
  }, [value]);
  return (
    <input
      ref={field}
      type={type}
      list={list}
      step={step}
      defaultValue={value}
      onChange={({ currentTarget }) => onCommit(currentTarget.value.trim())}
    />
  );
}
