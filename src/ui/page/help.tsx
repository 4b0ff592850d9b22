import type { JSX } from "preact";
import { KEYS } from "./keyboard.ts";

/** Id of the dialog, which the key `?` opens. */
const HELP_ID = "help";

/** A button and the dialog that it opens: the keys, and what the signs mean. */
export function Help(): JSX.Element {
  return (
    <>
      <button
        type="button"
        class="help"
        aria-label="Help and keys"
        onClick={openHelp}
      >
        ?
      </button>
      <dialog id={HELP_ID} aria-labelledby="help-title">
        <form method="dialog">
          <h2 id="help-title">Keys</h2>
          <table>
            <tbody>
              {KEYS.map(({ keys, does }) => (
                <tr key={keys}>
                  <th scope="row">
                    {keys.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}
                  </th>
                  <td>{does}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p>
            The page only reads: it shows commands to copy, and runs none. Its
            address after <code>#</code>{" "}
            names what you see; a colleague opens the same view by adding it to
            the address of their own <code>stellar-net ui</code>.
          </p>
          <button type="submit">Close</button>
        </form>
      </dialog>
    </>
  );
}

export function openHelp(): void {
  const dialog = document.getElementById(HELP_ID);
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}
