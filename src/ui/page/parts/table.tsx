import type { ComponentChildren, JSX } from "preact";

/** Options of {@linkcode Table}. */
export interface TableOptions {
  /** What the rows are, for screen readers. */
  readonly label: string;
  /** The heading of each column. */
  readonly columns: readonly string[];
  /** Whether a long table scrolls in a frame of its own. */
  readonly isFramed?: boolean;
  /** The rows. */
  readonly children: ComponentChildren;
}

/** A table that scrolls sideways on a narrow screen, also by keyboard. */
export function Table(
  { label, columns, isFramed = false, children }: TableOptions,
): JSX.Element {
  return (
    <div
      class={isFramed ? "wide scroll" : "wide"}
      role="region"
      aria-label={label}
      tabIndex={0}
    >
      <table class="list">
        <thead>
          <tr>
            {columns.map((column) => <th key={column} scope="col">{column}
            </th>)}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** A button that shows more of a list. */
export function More({ onClick, children }: {
  readonly onClick: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <button type="button" class="more" onClick={onClick}>{children}</button>
  );
}
