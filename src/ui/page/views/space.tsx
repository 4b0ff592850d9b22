import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { Carve } from "../../../net/carve.ts";
import { formatUtcMs } from "../../../base/duration.ts";
import { formatAddress, parseAddress } from "../../../net/address.ts";
import {
  capacityOf,
  containsPrefix,
  exclusionOf,
  formatPrefix,
  lastAddress,
  parsePrefix,
  type Prefix,
} from "../../../net/prefix.ts";
import { cluster, clusterLink } from "../cluster.ts";
import { CellMap } from "../parts/cell_map.tsx";
import { Legend } from "../parts/legend.tsx";
import { SpaceDetails } from "../parts/space_details.tsx";
import { SpaceTable } from "../parts/space_table.tsx";
import { TimeSlider } from "../parts/time_slider.tsx";
import { past, readPast } from "../past.ts";
import { type CellUse, useOfCells } from "../plan/cell_use.ts";
import {
  cellAt,
  cellOf,
  cellSize,
  isDeepest,
  type Level,
  levelOf,
  pathTo,
} from "../plan/levels.ts";
import { countStates, paintOf } from "../plan/paint.ts";
import {
  ADDRESS_LOOKS,
  ADDRESS_STATES,
  type Look,
  SLICE_LOOKS,
} from "../plan/palette.ts";
import {
  carvesOf,
  rewindSlices,
  runsOfSlices,
  type Slice,
  SLICE_STATES,
  sliceAround,
  slicesOf,
} from "../plan/slices.ts";
import { go, linkTo, moment, place, setParams } from "../router.ts";
import {
  addressRuns,
  followRuns,
  followSubnets,
  subnetList,
} from "../space_data.ts";

/** Each network as a map in order of address, from the whole down to one address. */
export function SpaceView(): JSX.Element {
  useEffect(followSubnets, []);
  const view = cluster.value;
  const networks = (view?.networks ?? []).flatMap(carvesOf);
  const { prefix: text, cell: cellText } = place.value.params;
  const wanted = readWanted(text) ?? networks[0]?.network;
  const carve = networks.find(({ network }) =>
    wanted && containsPrefix(network, wanted)
  );
  const level = carve && wanted && levelOf(carve, wanted);
  return (
    <div class="space">
      <div class="space-head">
        <h1>Space</h1>
        <GoTo />
      </div>
      <TimeSlider />
      {!view
        ? (
          <p class="empty">
            {clusterLink.value.kind === "connecting"
              ? "Waiting for the agent\u2026"
              : "The agent has not answered yet."}
          </p>
        )
        : networks.length === 0
        ? (
          <p class="empty">
            The cluster has no network yet: it gets one when its first agent
            starts.
          </p>
        )
        : !level || !carve
        ? (
          <p class="empty" role="alert">
            {`${text} is in no network of this cluster. `}
            <a href={linkTo("space")}>
              {`Show ${formatPrefix(networks[0]!.network)}`}
            </a>
          </p>
        )
        : (
          <Place
            networks={networks}
            carve={carve}
            level={level}
            wanted={wanted}
            cellText={cellText}
          />
        )}
    </div>
  );
}

function Place(
  { networks, carve, level, wanted, cellText }: {
    readonly networks: readonly Carve[];
    readonly carve: Carve;
    readonly level: Level;
    readonly wanted: Prefix;
    readonly cellText: string | undefined;
  },
): JSX.Element {
  const slices = useSlices();
  const isInside = level.prefix.length >= carve.subnetPrefixLength;
  const around = isInside ? sliceAround(slices, level.prefix) : undefined;
  const selected = readWanted(cellText) ??
    (wanted.length > level.prefix.length ? wanted : undefined);
  const cell = selected && containsPrefix(level.prefix, selected)
    ? cellOf(level, selected)
    : undefined;
  return (
    <>
      <nav class="crumbs" aria-label="Place in the network">
        {networks.map(({ network }) => (
          <a
            key={formatPrefix(network)}
            href={linkTo("space", { prefix: formatPrefix(network) })}
            aria-current={network === carve.network && networks.length > 1
              ? "true"
              : undefined}
          >
            {formatPrefix(network)}
          </a>
        ))}
        {pathTo(carve, level).slice(1).map(({ prefix }) => (
          <a
            key={formatPrefix(prefix)}
            class="crumb"
            href={linkTo("space", { prefix: formatPrefix(prefix) })}
          >
            {formatPrefix(prefix)}
          </a>
        ))}
        {around?.state === "owned" && (
          <span>
            {"of "}
            <a href={linkTo("host", { name: around.node })}>{around.node}</a>
          </span>
        )}
      </nav>
      {isInside
        ? <Addresses carve={carve} level={level} slice={around} cell={cell} />
        : <Subnets carve={carve} level={level} slices={slices} cell={cell} />}
    </>
  );
}

/** A level whose cells are subnets, or groups of them. */
function Subnets(
  { carve, level, slices, cell }: {
    readonly carve: Carve;
    readonly level: Level;
    readonly slices: readonly Slice[];
    readonly cell: number | undefined;
  },
): JSX.Element {
  const ofLevel = useMemo(
    () =>
      slices.filter(({ prefix }) =>
        containsPrefix(level.prefix, prefix) ||
        containsPrefix(prefix, level.prefix)
      ),
    [slices, formatPrefix(level.prefix)],
  );
  const { uses, paint } = useMemo(() => {
    const uses = useOfCells(level, runsOfSlices(ofLevel));
    const used = new Map(
      ofLevel.flatMap(({ prefix, state, used }) =>
        state === "owned" && prefix.length === level.cellLength
          ? [[cellOf(level, prefix)!, used ?? 1]]
          : []
      ),
    );
    const paint = paintOf(level, uses, {
      ranked: SLICE_STATES,
      fillOf: (at) => used.get(at),
    });
    return { uses, paint };
  }, [ofLevel, formatPrefix(level.prefix)]);
  const inSubnets = cellSize(level) /
    2 ** (bitsOf(level) - carve.subnetPrefixLength);
  const describe = (at: number) =>
    describeSubnet(cellAt(level, at), sliceAround(ofLevel, cellAt(level, at)));
  const wordsOf = (at: number) => {
    const prefix = cellAt(level, at);
    const slice = sliceAround(ofLevel, prefix);
    return [formatPrefix(prefix), slice?.node || (slice?.state ?? "free")];
  };
  const { error } = subnetList.value;
  return (
    <>
      <States
        uses={uses}
        unit={inSubnets}
        total={level.columns * level.rows * inSubnets}
        looks={SLICE_LOOKS}
        states={SLICE_STATES}
      />
      {error !== undefined && (
        <p class="stale" role="status">
          {`Reserved, released and conflicting subnets may be out of date: ${error}`}
        </p>
      )}
      <div class="space-body">
        <CellMap
          label={`Map of ${
            formatPrefix(level.prefix)
          }, subnets in order of address`}
          of={formatPrefix(level.prefix)}
          columns={level.columns}
          rows={level.rows}
          paint={paint}
          looks={SLICE_STATES.map((state) => SLICE_LOOKS[state])}
          selected={cell}
          wordsOf={wordsOf}
          rowName={(row) => rowName(level, row)}
          describe={describe}
          onSelect={(at) => select(level, at)}
          onEnter={(at) => enter(level, at)}
          onLeave={leaveOf(carve, level)}
        />
        <SpaceDetails
          text={cell === undefined ? undefined : describe(cell)}
          prefix={cell === undefined ? undefined : cellAt(level, cell)}
          slice={cell === undefined
            ? undefined
            : sliceAround(ofLevel, cellAt(level, cell))}
        />
      </div>
      <SpaceTable
        label="Subnets"
        rows={ofLevel.map((slice) => ({
          key: slice.cidr,
          name: slice.cidr,
          href: linkTo("space", { prefix: slice.cidr }),
          look: SLICE_LOOKS[slice.state],
          state: slice.state,
          node: slice.node,
          use: slice.used === undefined
            ? ""
            : `${Math.round(slice.used * 100)} %`,
          note: slice.reason,
          sinceMs: slice.sinceMs,
        }))}
      />
    </>
  );
}

/** A level inside a subnet: its cells are addresses, or groups of them. */
function Addresses(
  { carve, level, slice, cell }: {
    readonly carve: Carve;
    readonly level: Level;
    readonly slice: Slice | undefined;
    readonly cell: number | undefined;
  },
): JSX.Element {
  const node = slice?.state === "owned" ? slice.node : undefined;
  const atMs = moment.value;
  const key = formatPrefix(level.prefix);
  useEffect(() => {
    if (node === undefined) return;
    return followRuns({ node, prefix: level.prefix, atMs });
  }, [node, key, atMs]);
  const { value, error } = addressRuns.value;
  const runs = node === undefined ? [] : value?.runs ?? [];
  const { uses, paint } = useMemo(() => {
    const uses = useOfCells(level, runs);
    return { uses, paint: paintOf(level, uses, { ranked: ADDRESS_STATES }) };
  }, [runs, key]);
  const describe = (at: number) =>
    describeAddress(cellAt(level, at), { use: uses[at], slice, level });
  const isSingle = isDeepest(level);
  return (
    <>
      <States
        uses={uses}
        unit={cellSize(level)}
        total={Number(capacityOf(level.prefix))}
        looks={ADDRESS_LOOKS}
        states={ADDRESS_STATES}
      />
      {node === undefined
        ? (
          <p class="empty">
            {`No node owns ${key}: ${
              slice ? SLICE_LOOKS[slice.state].label : "it is free"
            }${slice?.reason ? ` (${slice.reason})` : ""}.`}
          </p>
        )
        : error !== undefined
        ? (
          <p class="stale" role="status">
            {`The addresses of ${node} ${
              value ? "may be out of date" : "are not known"
            }: ${error}`}
          </p>
        )
        : !value
        ? <p class="empty" role="status">{`Asking ${node}\u2026`}</p>
        : atMs !== undefined && (
          <p class="stale" role="status">
            {value.knownSinceMs === undefined
              ? `${node} has recorded no release: addresses that are held now were held since they were given.`
              : atMs < value.knownSinceMs
              ? `The history of ${node} goes back to ${
                formatUtcMs(value.knownSinceMs)
              }: before that, addresses that were released are missing.`
              : "Reservations that have ended since are missing, and leaks are shown as held."}
          </p>
        )}
      <div class="space-body">
        <CellMap
          label={`Map of ${key}, addresses in order`}
          of={key}
          columns={level.columns}
          rows={level.rows}
          paint={paint}
          looks={ADDRESS_STATES.map((state) => ADDRESS_LOOKS[state])}
          selected={cell}
          wordsOf={(at) => [nameOf(cellAt(level, at))]}
          rowName={(row) => rowName(level, row)}
          describe={describe}
          onSelect={(at) => select(level, at)}
          onEnter={isSingle ? undefined : (at) => enter(level, at)}
          onLeave={leaveOf(carve, level)}
        />
        <SpaceDetails
          text={cell === undefined ? undefined : describe(cell)}
          prefix={cell === undefined ? undefined : cellAt(level, cell)}
          slice={slice}
        />
      </div>
      <SpaceTable
        label="Addresses"
        rows={runs.map(({ first, last, state }) => {
          const { family } = level.prefix;
          const [from, to] = [first, last]
            .map((each) => formatAddress({ family, value: each }));
          return {
            key: from!,
            name: from === to ? from! : `${from} \u2013 ${to}`,
            href: linkTo("space", {
              prefix: key,
              cell: `${from}/${bitsOf(level)}`,
            }),
            look: ADDRESS_LOOKS[state],
            state,
            node: node ?? "",
            use: formatCount(Number(last - first) + 1),
            note: "",
            sinceMs: undefined,
          };
        })}
      />
    </>
  );
}

/** The numbers of a level by state, each with a link to its items. */
function States<State extends string>(
  { uses, unit, total, looks, states }: {
    readonly uses: readonly (CellUse<State> | undefined)[];
    /** Items of a cell. */
    readonly unit: number;
    readonly total: number;
    readonly looks: Readonly<Record<State, Look>>;
    readonly states: readonly State[];
  },
): JSX.Element {
  const counts = countStates(uses, unit);
  const taken = [...counts.values()].reduce((a, b) => a + b, 0);
  const chosen = place.value.params.show;
  const { params } = place.value;
  return (
    <Legend
      label="Numbers by state"
      entries={[
        ...states.toReversed().map((state) => ({
          look: looks[state],
          label: looks[state].label,
          count: formatCount(counts.get(state) ?? 0),
          href: linkTo("space", {
            ...params,
            show: chosen === state ? undefined : state,
          }),
          isChosen: chosen === state,
        })),
        {
          ...{ look: undefined, label: "free", href: undefined },
          count: formatCount(Math.max(0, total - taken)),
          isChosen: false,
        },
      ]}
    />
  );
}

/** Goes to an address or a prefix. */
function GoTo(): JSX.Element {
  return (
    <form
      class="go-to"
      onSubmit={(event) => {
        event.preventDefault();
        const field = event.currentTarget.elements
          .namedItem("where") as HTMLInputElement;
        const prefix = readWanted(field.value.trim());
        field.setCustomValidity(
          prefix ? "" : "Write an address or a prefix, such as 172.16.4.9",
        );
        field.reportValidity();
        if (prefix) go("space", { prefix: formatPrefix(prefix) });
      }}
    >
      <label>
        {"Go to "}
        <input
          name="where"
          placeholder="172.16.4.9"
          spellcheck={false}
          autocomplete="off"
          onInput={({ currentTarget }) => currentTarget.setCustomValidity("")}
        />
      </label>
    </form>
  );
}

function useSlices(): readonly Slice[] {
  const view = cluster.value;
  const { value: listed } = subnetList.value;
  const hosts = view?.hosts;
  const atMs = moment.value;
  useEffect(() => {
    if (atMs !== undefined) void readPast();
  }, [atMs !== undefined]);
  const now = useMemo(
    () => slicesOf(listed ?? [], hosts?.values() ?? []),
    [listed, hosts],
  );
  const events = past.value?.events;
  return useMemo(
    () => atMs === undefined ? now : rewindSlices(now, events ?? [], atMs),
    [now, events, atMs],
  );
}

/** Reads an address or a prefix; undefined: it is neither. */
function readWanted(text: string | undefined): Prefix | undefined {
  if (!text) return undefined;
  try {
    if (text.includes("/")) return parsePrefix(text);
    const address = parseAddress(text);
    return { ...address, length: address.family === 4 ? 32 : 128 };
  } catch {
    return undefined;
  }
}

function select(level: Level, at: number): void {
  const prefix = formatPrefix(level.prefix);
  const cell = formatPrefix(cellAt(level, at));
  setParams({ prefix, cell }, { replace: true });
}

function enter(level: Level, at: number): void {
  go("space", { prefix: formatPrefix(cellAt(level, at)) });
}

function leaveOf(carve: Carve, level: Level): (() => void) | undefined {
  const outer = pathTo(carve, level).at(-2);
  return outer && (() =>
    go("space", {
      prefix: formatPrefix(outer.prefix),
      cell: formatPrefix(level.prefix),
    }));
}

function describeSubnet(prefix: Prefix, slice: Slice | undefined): string {
  const name = formatPrefix(prefix);
  if (!slice) return `${name} is free`;
  const { state, node, reason, used } = slice;
  const of = node === ""
    ? ""
    : state === "owned"
    ? ` by ${node}`
    : state === "reserved"
    ? ` for ${node}`
    : ` (${node})`;
  const use = used === undefined ? "" : `, ${Math.round(used * 100)} % in use`;
  const why = reason === "" ? "" : `: ${reason}`;
  return `${name} is ${SLICE_LOOKS[state].label}${of}${use}${why}`;
}

function describeAddress(
  prefix: Prefix,
  { use, slice, level }: {
    readonly use: CellUse<typeof ADDRESS_STATES[number]> | undefined;
    readonly slice: Slice | undefined;
    readonly level: Level;
  },
): string {
  const name = nameOf(prefix);
  if (isDeepest(level)) {
    const exclusion = slice && exclusionOf(slice.prefix, prefix);
    if (exclusion) return `${name} is the ${exclusion}`;
    const state = ADDRESS_STATES.find((each) => (use?.[each] ?? 0) > 0);
    return `${name} is ${state ? ADDRESS_LOOKS[state].label : "free"}`;
  }
  const size = cellSize(level);
  const parts = ADDRESS_STATES.flatMap((state) => {
    const share = use?.[state] ?? 0;
    return share > 0
      ? [
        `${formatCount(Math.max(1, share * size))} ${
          ADDRESS_LOOKS[state].label
        }`,
      ]
      : [];
  });
  return `${name}: ${parts.length === 0 ? "all free" : parts.join(", ")}`;
}

/** The first address of a row. */
function rowName(level: Level, row: number): string {
  return formatAddress(cellAt(level, row * level.columns));
}

/** An address, or a prefix where it is more than one. */
function nameOf(prefix: Prefix): string {
  return lastAddress(prefix).value === prefix.value
    ? formatAddress(prefix)
    : formatPrefix(prefix);
}

function bitsOf({ prefix }: Level): number {
  return prefix.family === 4 ? 32 : 128;
}

function formatCount(count: number): string {
  const whole = Math.round(count);
  return whole < 1e9
    ? whole.toLocaleString()
    : `about 2^${Math.round(Math.log2(count))}`;
}
