import { computed } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { cluster } from "../cluster.ts";
import {
  CONDITION_CELLS,
  mapHosts,
  USE_CELLS,
  WELL_LOOK,
} from "../plan/host_map.ts";
import { describeHost, shareText, statusOf } from "../plan/host_status.ts";
import { go, linkTo, place, setParams } from "../router.ts";
import { CellMap } from "./cell_map.tsx";
import { Sample } from "./legend.tsx";

const NARROW = matchMedia("(max-width: 44rem)");

const statuses = computed(() =>
  [...cluster.value?.hosts.values() ?? []].map(statusOf)
);

/** Very many hosts as a map, one cell each, in the order of names. */
export function HostMap(
  { by }: { readonly by: "state" | "use" },
): JSX.Element {
  const hosts = statuses.value;
  const ratio = NARROW.matches ? 0.8 : 2.5;
  const { columns, rows, paint, looks } = useMemo(
    () => mapHosts(hosts, { by, ratio }),
    [hosts, by, ratio],
  );
  const at = hosts.findIndex(({ name }) => name === place.value.params.host);
  const selected = hosts[at];
  const samples = by === "state"
    ? [...Object.values(CONDITION_CELLS), WELL_LOOK]
    : Object.values(USE_CELLS);
  return (
    <div class="host-map">
      <p class="legend">
        {samples.map((look) => (
          <span key={look.label}>
            <Sample look={look} /> {look.label}
          </span>
        ))}
      </p>
      <CellMap
        label={`Map of ${hosts.length} hosts in the order of names, by ${by}`}
        of={by}
        columns={columns}
        rows={rows}
        paint={paint}
        looks={looks}
        selected={at < 0 ? undefined : at}
        wordsOf={(cell) => wordsOf(hosts[cell])}
        rowName={(row) => hosts[row * columns]?.name ?? ""}
        describe={(cell) => {
          const status = hosts[cell];
          return status ? describeHost(status) : "";
        }}
        onSelect={(cell) => {
          const name = hosts[cell]?.name;
          if (name !== undefined) {
            setParams({ host: name }, { replace: true });
          }
        }}
        onEnter={(cell) => {
          const name = hosts[cell]?.name;
          if (name !== undefined) go("host", { name });
        }}
      />
      <p role="status">
        {selected
          ? (
            <>
              <a href={linkTo("host", { name: selected.name })}>
                {selected.name}
              </a>
              {describeHost(selected).slice(selected.name.length)}
            </>
          )
          : (
            <span class="aside">
              Choose a host. Enter or a double click opens it.
            </span>
          )}
      </p>
    </div>
  );
}

function wordsOf(
  status: Parameters<typeof describeHost>[0] | undefined,
): readonly string[] {
  return status ? [status.name, shareText(status)] : [];
}
