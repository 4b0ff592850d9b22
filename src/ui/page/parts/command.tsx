import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

/** Time for which a button says that it has copied, in ms. */
const COPIED_MS = 2_000;

/** A command for a shell, with a button that copies it. */
export function Command({ text }: { readonly text: string }): JSX.Element {
  const state = useSignal<"" | "copied" | "failed">("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      state.value = "copied";
    } catch {
      state.value = "failed";
    }
    setTimeout(() => state.value = "", COPIED_MS);
  };
  return (
    <span class="command">
      <code>{text}</code>
      <button type="button" onClick={copy} aria-label={`Copy: ${text}`}>
        {state.value === "copied"
          ? "Copied"
          : state.value === "failed"
          ? "Select it"
          : "Copy"}
      </button>
      <span class="unseen" role="status">
        {state.value === "copied"
          ? "The command is copied"
          : state.value === "failed"
          ? "The browser does not let the page copy: select the command"
          : ""}
      </span>
    </span>
  );
}
