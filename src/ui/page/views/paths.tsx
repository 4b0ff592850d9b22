import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { clusterApi } from "../api.ts";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { Field } from "../parts/field.tsx";
import { CellMap } from "../parts/cell_map.tsx";
import { Legend, Sample } from "../parts/legend.tsx";
import { Loading, Notice } from "../parts/notice.tsx";
import { PathDetails } from "../parts/path_details.tsx";
import { Ago } from "../parts/time.tsx";
import { useLoad } from "../parts/use_load.ts";
import { PATH_LOOKS, PATH_STATES } from "../plan/palette.ts";
import {
  addSamples,
  cellOfPath,
  countPaths,
  formatRtt,
  layoutMatrix,
  type Matrix,
  pathKey,
  type PathSamples,
  readPaths,
  shortNames,
  type ShownPath,
} from "../plan/path_view.ts";
import { linkTo, moment, place, setParams } from "../router.ts";
import { More, Table } from "../parts/table.tsx";

const INTERVAL_MS = 2_000;
/** Rows that are shown at first, and more at a click. */
const STEP = 100;
const LOOKS = PATH_STATES.map((state) => PATH_LOOKS[state]);

interface Answer {
  readonly paths: readonly ShownPath[];
  readonly silentNodes: readonly string[];
  readonly asked: number;
  readonly hosts: number;
  readonly atMs: number;
}

/** Outlives the view: who comes back sees the curves of before. */
let samples: ReadonlyMap<string, PathSamples> = new Map();

/** The paths between hosts, the worst first. */
export function PathsView(): JSX.Element {
  const { node = "" } = place.value.params;
  const loaded = useLoad(
    `paths ${node}`,
    (signal) => readAnswer(node, signal),
    {
      intervalMs: INTERVAL_MS,
    },
  );
  return (
    <>
      <h1>Paths{node !== "" && <>{" "}of {node}</>}</h1>
      <Filter node={node} />
      {moment.value !== undefined && (
        <p class="past" role="status">
          Paths are those of now: only their events are recorded.{" "}
          <a href={linkTo("events")}>Show the events of that moment</a>
        </p>
      )}
      <Loading loaded={loaded} what="the paths">
        {(answer) => <Paths answer={answer} node={node} />}
      </Loading>
    </>
  );
}

async function readAnswer(node: string, signal: AbortSignal): Promise<Answer> {
  const ask = async (nodes: string[]) =>
    await clusterApi.getPaths({ nodes }, { signal });
  let answer = await ask(node === "" ? [] : [node]);
  if (node !== "") {
    // Its peers tell the way back.
    const peers = answer.paths.flatMap(({ path }) => path?.peer ?? []);
    if (peers.length > 0) {
      answer = await ask([...new Set([node, ...peers])].slice(0, 64));
    }
  }
  const paths = readPaths(answer.paths)
    .filter(({ from, to }) => node === "" || from === node || to === node);
  const atMs = nowMs.value;
  samples = addSamples(samples, paths, atMs);
  const { silentNodes, asked, hosts } = answer;
  return { paths, silentNodes, asked, hosts, atMs };
}

function Paths({ answer, node }: {
  readonly answer: Answer;
  readonly node: string;
}): JSX.Element {
  const { paths, silentNodes, asked, hosts } = answer;
  const { from, to, show } = place.value.params;
  const matrix = useMemo(() => layoutMatrix(paths), [paths]);
  const chosen = paths.find((path) => path.from === from && path.to === to);
  const shown = paths.filter(({ state }) => !show || state === show);
  return (
    <>
      <Silence answer={answer} />
      {paths.length === 0
        ? (
          <Notice
            title={hosts <= 1
              ? "There is one host, so there are no paths"
              : "No path is measured"}
          >
            <p>
              {hosts <= 1
                ? "Paths are measured between hosts, once there are two."
                : `None of the ${asked} hosts that were asked sends probes: their agents run with --probe off, or have just started.`}
            </p>
          </Notice>
        )
        : (
          <section>
            <Legend
              label="Numbers by state"
              entries={countPaths(paths).map(([state, count]) => ({
                look: PATH_LOOKS[state],
                text: `${count} ${PATH_LOOKS[state].label}`,
                href: linkTo("paths", {
                  ...place.value.params,
                  show: show === state ? undefined : state,
                }),
                isChosen: show === state,
              }))}
            />
            {matrix && (
              <p class="aside">
                Rows: the hosts that measure. Columns: their peers. The fuller a
                cell, the longer the round trip.
              </p>
            )}
            <div class={matrix ? "space-body" : undefined}>
              {matrix && <Square matrix={matrix} chosen={chosen} />}
              {chosen
                ? (
                  <PathDetails
                    path={chosen}
                    samples={samples.get(pathKey(chosen))}
                  />
                )
                : from && to
                ? (
                  <p class="aside">
                    The path from {from} to {to} is not among these.
                  </p>
                )
                : matrix && (
                  <p class="aside">Choose a path to see its curves.</p>
                )}
            </div>
          </section>
        )}
      {shown.length > 0 && <List paths={shown} />}
      {asked < hosts && node === "" && (
        <p class="aside">
          These are the paths of {asked} of {hosts.toLocaleString("en")}{" "}
          hosts: those that report the most faulty paths, then by name. Choose a
          host above to see its own.
        </p>
      )}
      {silentNodes.length > 0 && (
        <p class="aside">
          A silent host’s paths are seen from its peers.
        </p>
      )}
    </>
  );
}

function Silence({ answer }: { readonly answer: Answer }): JSX.Element | null {
  const { silentNodes } = answer;
  if (silentNodes.length === 0) return null;
  return (
    <p class="aside is-warning" role="status">
      No answer from {silentNodes.map((name, i) => (
        <>
          {i > 0 && ", "}
          <a key={name} href={linkTo("host", { name })}>{name}</a>
        </>
      ))}
    </p>
  );
}

function Square({ matrix, chosen }: {
  readonly matrix: Matrix;
  readonly chosen: ShownPath | undefined;
}): JSX.Element {
  const { names, paint, paths } = matrix;
  const places = useMemo(
    () => new Map(names.map((name, i) => [name, i])),
    [names],
  );
  const short = useMemo(() => shortNames(names), [names]);
  const ends = (cell: number) => ({
    from: names[Math.floor(cell / names.length)]!,
    to: names[cell % names.length]!,
  });
  const [cursor, setCursor] = useState<number>();
  const selected = chosen ? cellOfPath(chosen, places) : cursor;
  return (
    <CellMap
      label="Paths between hosts: a row for each host that measures, a column for each peer"
      of={names.join()}
      columns={names.length}
      rows={names.length}
      paint={paint}
      looks={LOOKS}
      selected={selected}
      wordsOf={(cell) => {
        const path = paths.get(cell);
        return path ? [path.from, `→ ${path.to}`, formatRtt(path.rttMs)] : [];
      }}
      rowName={(row, isNarrow) => (isNarrow ? short : names)[row]!}
      columnName={(column, isNarrow) => (isNarrow ? short : names)[column]!}
      describe={(cell) => {
        const { from, to } = ends(cell);
        const path = paths.get(cell);
        return path ? describePath(path) : `${from} does not probe ${to}`;
      }}
      onSelect={(cell) => {
        setCursor(cell);
        const { from, to } = paths.get(cell) ?? {};
        setParams({ from, to }, { replace: true });
      }}
      onEnter={(cell) => setParams({ node: ends(cell).from })}
      onLeave={place.value.params.node
        ? () => setParams({ node: undefined })
        : undefined}
    />
  );
}

function describePath({ from, to, state, rttMs, loss }: ShownPath): string {
  const lost = loss > 0 ? `, ${Math.round(loss * 100)} % lost` : "";
  return `${from} to ${to}: ${PATH_LOOKS[state].label}, ${
    formatRtt(rttMs)
  }${lost}`;
}

function List({ paths }: {
  readonly paths: readonly ShownPath[];
}): JSX.Element {
  const [most, setMost] = useState(STEP);
  const key = paths.length === 0;
  useEffect(() => setMost(STEP), [key]);
  return (
    <section>
      <h2>The worst first</h2>
      <Table
        label="Paths"
        columns={[
          "From",
          "To",
          "State",
          "Since",
          "Lost there",
          "Lost back",
          "Round trip",
          "Largest packet",
        ]}
        isFramed
      >
        {paths.slice(0, most).map((path) => (
          <Row key={pathKey(path)} path={path} />
        ))}
      </Table>
      {paths.length > most && (
        <More onClick={() => setMost(most + STEP)}>
          Show {Math.min(STEP, paths.length - most)} more of {paths.length}
        </More>
      )}
    </section>
  );
}

function Row({ path: { from, to, state, rttMs, message } }: {
  readonly path: ShownPath;
}): JSX.Element {
  const { params } = place.value;
  const { since, lossOut = 0, lossIn = 0, mtuBytes = 0 } = message.path ?? {};
  const isChosen = params.from === from && params.to === to;
  return (
    <tr aria-current={isChosen ? "true" : undefined}>
      <th scope="row">
        <a href={linkTo("paths", { ...params, from, to })}>{from}</a>
      </th>
      <td>{to}</td>
      <td>
        <Sample look={PATH_LOOKS[state]} /> {PATH_LOOKS[state].label}
      </td>
      <td>
        <Ago at={since} />
      </td>
      <td>{formatLoss(lossOut)}</td>
      <td>{formatLoss(lossIn)}</td>
      <td>{formatRtt(rttMs)}</td>
      <td>{mtuBytes === 0 ? "–" : `${mtuBytes} bytes`}</td>
    </tr>
  );
}

function formatLoss(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function Filter({ node }: { readonly node: string }): JSX.Element {
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <label>
        Host{" "}
        <Field
          type="search"
          list="path-hosts"
          value={node}
          onCommit={(text) =>
            setParams({ node: text, from: undefined, to: undefined })}
        />
        <datalist id="path-hosts">
          {[...cluster.value?.hosts.keys() ?? []].slice(0, 500)
            .map((name) => <option key={name} value={name} />)}
        </datalist>
      </label>
      {node !== "" && <a href={linkTo("paths")}>all hosts</a>}
    </form>
  );
}
