import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Look } from "../plan/palette.ts";
import { linkTo, place } from "../router.ts";
import { Sample } from "./legend.tsx";
import { AgoMs } from "./time.tsx";
import { More, Table } from "./table.tsx";

/** Rows that are shown at first, and more at a click. */
const STEP = 100;

/** One item of a map. */
export interface SpaceRow {
  readonly name: string;
  /** The item on the map. */
  readonly href: string;
  readonly look: Look;
  readonly node: string;
  readonly use: string;
  readonly note: string;
  readonly sinceMs: number | undefined;
}

/** What a map shows, as a table. `show` in the URL chooses one state. */
export function SpaceTable<T extends { readonly state: string }>(
  { label, items, rowOf }: {
    readonly label: "Subnets" | "Addresses";
    readonly items: readonly T[];
    /** Called for the items that are shown, and no others. */
    readonly rowOf: (item: T) => SpaceRow;
  },
): JSX.Element {
  const { params } = place.value;
  const { show } = params;
  const [isOpen, setOpen] = useState(show !== undefined);
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (show !== undefined) setOpen(true);
  }, [show]);
  useEffect(() => {
    if (show === undefined || !isOpen) return;
    box.current!.scrollIntoView({ block: "nearest" });
  }, [show, isOpen]);
  const chosen = show === undefined
    ? items
    : items.filter(({ state }) => state === show);
  return (
    <details
      ref={box}
      class="space-table"
      open={isOpen}
      onToggle={({ currentTarget }) => setOpen(currentTarget.open)}
    >
      <summary>
        {label} as a table: {chosen.length.toLocaleString("en")} {show}
      </summary>
      {show !== undefined && (
        <p>
          <a href={linkTo("space", { ...params, show: undefined })}>
            Show all states
          </a>
        </p>
      )}
      {isOpen && <Rows label={label} items={chosen} rowOf={rowOf} />}
    </details>
  );
}

function Rows<T extends { readonly state: string }>(
  { label, items, rowOf }: Parameters<typeof SpaceTable<T>>[0],
): JSX.Element {
  const [most, setMost] = useState(STEP);
  const isSubnets = label === "Subnets";
  return (
    <>
      <Table
        label={label}
        columns={[
          ...[label, "State", "Host"],
          ...(isSubnets ? ["In use", "Since", "Reason"] : ["Number"]),
        ]}
        isFramed
      >
        {items.slice(0, most).map(rowOf).map((row) => (
          <tr key={row.name}>
            <th scope="row" class="address">
              <a href={row.href}>{row.name}</a>
            </th>
            <td>
              <Sample look={row.look} /> {row.look.label}
            </td>
            <td>
              {row.node !== "" && (
                <a href={linkTo("host", { name: row.node })}>{row.node}</a>
              )}
            </td>
            <td>{row.use}</td>
            {isSubnets && (
              <td>
                {row.sinceMs !== undefined && <AgoMs ms={row.sinceMs} />}
              </td>
            )}
            {isSubnets && <td>{row.note}</td>}
          </tr>
        ))}
      </Table>
      {items.length > most && (
        <More onClick={() => setMost(most + STEP)}>
          Show {STEP} more of {(items.length - most).toLocaleString("en")}
        </More>
      )}
    </>
  );
}
