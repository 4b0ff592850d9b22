import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { formatTimeLeft } from "../../../base/duration.ts";
import { formatShare } from "../../../base/share.ts";
import type {
  HostSummary,
  SubnetUse,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { containsPrefix, parsePrefix } from "../../../net/prefix.ts";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { useOfCells } from "../plan/cell_use.ts";
import { fitCamera } from "../plan/camera.ts";
import { cellSize, type Level, levelOf } from "../plan/levels.ts";
import { countStates, paintOf } from "../plan/paint.ts";
import { ADDRESS_LOOKS, ADDRESS_STATES } from "../plan/palette.ts";
import { carvesOf } from "../plan/slices.ts";
import { linkTo } from "../router.ts";
import { type KnownRuns, loadRuns } from "../space_data.ts";
import { drawMap } from "./draw_map.ts";
import { Sample } from "./legend.tsx";
import { Meter } from "./meter.tsx";
import { Loading } from "./notice.tsx";
import { theme } from "./theme.ts";
import { useLoad } from "./use_load.ts";

/** Interval at which addresses are read again, in ms. */
const READ_AGAIN_MS = 1_000;
/** Cells in a row of a map, and the size of one, in pixels. */
const COLUMNS = 64;
const CELL_PX = 8;

/** The subnets of a host, each with its use and a map of its addresses. */
export function HostSubnets({ name, host: { node, report }, at, hasMaps }: {
  readonly name: string;
  readonly host: HostSummary;
  /** The moment that the maps show; undefined: now. */
  readonly at: number | undefined;
  /** Whether the host is asked for its addresses. */
  readonly hasMaps: boolean;
}): JSX.Element {
  const owned = node?.subnets ?? [];
  if (owned.length === 0) {
    return <p class="aside">It owns no subnet: it has routes only.</p>;
  }
  return (
    <div class="cards is-wide">
      {owned.map((cidr) => (
        <article key={cidr}>
          <h3>
            <a href={linkTo("space", { prefix: cidr })}>{cidr}</a>
          </h3>
          {at === undefined && (
            <Use
              cidr={cidr}
              use={report?.subnets.find((use) => use.cidr === cidr)}
            />
          )}
          {hasMaps && <AddressMap node={name} cidr={cidr} at={at} />}
        </article>
      ))}
    </div>
  );
}

function Use({ cidr, use }: {
  readonly cidr: string;
  readonly use: SubnetUse | undefined;
}): JSX.Element {
  if (!use) return <p class="aside">Its use is not reported.</p>;
  const { capacity, held, cooling, fullAt, growthPerDay } = use;
  return (
    <>
      <Meter
        label={`Addresses of ${cidr}`}
        whole={capacity}
        parts={[
          { kind: "held", amount: Number(held), label: "held" },
          { kind: "cooling", amount: Number(cooling), label: "cooling" },
        ]}
      />
      <p>
        <b>{held.toLocaleString("en")}</b> held
        {cooling > 0n && `, ${cooling} cooling`} of{" "}
        {capacity.toLocaleString("en")} ({formatShare(Number(held), capacity)}
        ){" "}
        <span class={fullAt ? "is-warning" : "aside"}>
          {fullAt
            ? `full ${formatTimeLeft(timestampMs(fullAt) - nowMs.value)}`
            : growthPerDay === undefined
            ? "no forecast: less than a day of data"
            : "will not fill up at the rate of the last days"}
        </span>
      </p>
    </>
  );
}

/** The addresses of a subnet in their order; a click goes to the large map. */
function AddressMap({ node, cidr, at }: {
  readonly node: string;
  readonly cidr: string;
  readonly at: number | undefined;
}): JSX.Element | null {
  const prefix = useMemo(() => parsePrefix(cidr), [cidr]);
  const networks = cluster.value?.networks;
  const level = useMemo(() => {
    const carve = networks?.flatMap(carvesOf)
      .find(({ network }) => containsPrefix(network, prefix));
    return carve && levelOf(carve, prefix);
  }, [networks, prefix]);
  const loaded = useLoad(
    `${node} ${cidr} ${at}`,
    (signal) => loadRuns({ node, prefix, atMs: at }, signal),
    at === undefined ? { intervalMs: READ_AGAIN_MS } : {},
  );
  if (!level) return null;
  return (
    <Loading loaded={loaded} what="the addresses">
      {(known) => <Picture cidr={cidr} level={level} known={known} at={at} />}
    </Loading>
  );
}

function Picture({ cidr, level, known, at }: {
  readonly cidr: string;
  readonly level: Level;
  readonly known: KnownRuns;
  readonly at: number | undefined;
}): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const of = theme.value;
  const cells = level.columns * level.rows;
  const columns = Math.min(COLUMNS, cells);
  const rows = Math.ceil(cells / columns);
  const stage = {
    ...{ columns, rows, widthPx: columns * CELL_PX, heightPx: rows * CELL_PX },
  };
  const { uses, paint } = useMemo(() => {
    const uses = useOfCells(level, known.runs);
    return { uses, paint: paintOf(level, uses, { ranked: ADDRESS_STATES }) };
  }, [known, level]);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const scale = devicePixelRatio;
    context.canvas.width = stage.widthPx * scale;
    context.canvas.height = stage.heightPx * scale;
    drawMap(context, {
      ...{ stage, camera: fitCamera(stage), paint, theme: of },
      looks: ADDRESS_STATES.map((state) => ADDRESS_LOOKS[state]),
      ...{ selected: undefined, rowName: () => "", wordsOf: () => [] },
    }, scale);
  }, [paint, of, columns, rows]);
  const counts = countStates(uses, cellSize(level));
  const words = ADDRESS_STATES.flatMap((state) => {
    const count = Math.round(counts.get(state) ?? 0);
    return count > 0 ? [{ state, count }] : [];
  });
  const isUnknown = at !== undefined && known.knownSinceMs !== undefined &&
    at < known.knownSinceMs;
  return (
    <>
      <a
        class="address-map"
        href={linkTo("space", { prefix: cidr })}
        aria-label={`Map of ${cidr}: ${
          words.map(({ state, count }) =>
            `${count} ${ADDRESS_LOOKS[state].label}`
          ).join(", ") || "all addresses are free"
        }`}
      >
        <canvas ref={canvas} width={stage.widthPx} height={stage.heightPx} />
      </a>
      <p class="legend">
        {words.map(({ state, count }) => (
          <span key={state}>
            <Sample look={ADDRESS_LOOKS[state]} /> {count}{" "}
            {ADDRESS_LOOKS[state].label}
          </span>
        ))}
        {words.length === 0 && <span>All addresses are free</span>}
      </p>
      {isUnknown && (
        <p class="aside is-warning">
          The host’s history does not go back that far: addresses that were
          released since are missing.
        </p>
      )}
    </>
  );
}
