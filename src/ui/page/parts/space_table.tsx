import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Look } from "../plan/palette.ts";
import { linkTo, place } from "../router.ts";
import { Sample } from "./legend.tsx";
import { AgoMs } from "./time.tsx";

/** Rows that are shown at first, and more at a click. */
const STEP = 100;

/** One item of a map. */
export interface SpaceRow {
  readonly name: string;
  /** The item on the map. */
  readonly href: string;
  readonly look: Look;
  readonly state: string;
  readonly node: string;
  readonly use: string;
  readonly note: string;
  readonly sinceMs: number | undefined;
}

/** What a map shows, as a table. `show` in the URL chooses one state. */
export function SpaceTable(
  { label, rows }: {
    readonly label: string;
    readonly rows: readonly SpaceRow[];
  },
): JSX.Element {
  const { show } = place.value.params;
  const [most, setMost] = useState(STEP);
  const chosen = rows.filter(({ state }) => !show || state === show);
  const isOpen = show !== undefined;
  return (
    <details class="space-table" open={isOpen}>
      <summary>
        {`${label} as a table: ${chosen.length.toLocaleString()}${
          show ? ` ${show}` : ""
        }`}
      </summary>
      {show && (
        <p>
          <a href={linkTo("space", { ...place.value.params, show: undefined })}>
            Show all states
          </a>
        </p>
      )}
      <div class="wide scroll" tabIndex={0} role="region" aria-label={label}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{label}</th>
              <th scope="col">State</th>
              <th scope="col">Host</th>
              <th scope="col">{label === "Subnets" ? "In use" : "Number"}</th>
              <th scope="col">Since</th>
              <th scope="col">Reason</th>
            </tr>
          </thead>
          <tbody>
            {chosen.slice(0, most).map((row) => (
              <tr key={row.name}>
                <th scope="row" class="address">
                  <a href={row.href}>{row.name}</a>
                </th>
                <td>
                  <Sample look={row.look} /> {row.look.label}
                </td>
                <td>
                  {row.node &&
                    (
                      <a href={linkTo("host", { name: row.node })}>
                        {row.node}
                      </a>
                    )}
                </td>
                <td>{row.use}</td>
                <td>
                  {row.sinceMs !== undefined && <AgoMs ms={row.sinceMs} />}
                </td>
                <td>{row.note}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {chosen.length > most && (
        <button
          type="button"
          onClick={() => setMost(most + STEP)}
        >
          {`Show ${STEP} more of ${(chosen.length - most).toLocaleString()}`}
        </button>
      )}
    </details>
  );
}
