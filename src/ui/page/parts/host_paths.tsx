import type { JSX } from "preact";
import { clusterApi } from "../api.ts";
import { linkTo } from "../router.ts";
import { Mark } from "./marks.tsx";
import { Loading } from "./notice.tsx";
import { Ago } from "./time.tsx";
import { useLoad } from "./use_load.ts";
import { Table } from "./table.tsx";

/** Interval at which the paths are read again, in ms. */
const READ_AGAIN_MS = 3_000;

const PATH_LOOKS: Readonly<
  Record<string, { readonly kind: string; readonly sign: string }>
> = {
  alive: { kind: "well", sign: "\u2713" },
  lossy: { kind: "warning", sign: "!" },
  narrow: { kind: "warning", sign: "!" },
  dead: { kind: "error", sign: "\u2715" },
  unanswered: { kind: "unknown", sign: "?" },
  unmeasured: { kind: "unknown", sign: "?" },
};

/** States in which the figures of a path are of now. */
const ANSWERED: ReadonlySet<string> = new Set(["alive", "lossy", "narrow"]);

/** The paths from a host to the peers that it probes, the worst first. */
export function HostPaths({ name }: { readonly name: string }): JSX.Element {
  const loaded = useLoad(
    name,
    (signal) => clusterApi.getPaths({ nodes: [name] }, { signal }),
    { intervalMs: READ_AGAIN_MS },
  );
  return (
    <Loading loaded={loaded} what="the paths">
      {({ paths, silentNodes }) =>
        silentNodes.includes(name)
          ? <p class="aside is-warning">The host does not answer.</p>
          : paths.length === 0
          ? (
            <p class="aside">
              It probes no path: it has no peer, or runs with --probe off.
            </p>
          )
          : (
            <Table
              label="Paths"
              columns={[
                "To",
                "State",
                "Since",
                "Round trip",
                "Lost out",
                "Lost in",
                "Largest packet",
              ]}
            >
              {paths.flatMap(({ path }) => path ?? []).map((path) => (
                <tr key={path.peer}>
                  <th scope="row">
                    <a href={linkTo("host", { name: path.peer })}>
                      {path.peer}
                    </a>
                  </th>
                  <td>
                    <Mark
                      {...PATH_LOOKS[path.state] ??
                        PATH_LOOKS.unmeasured!}
                      label={path.state}
                    />
                  </td>
                  <td>
                    <Ago at={path.since} />
                  </td>
                  {ANSWERED.has(path.state)
                    ? (
                      <>
                        <td>{formatRtt(path.rttSeconds)}</td>
                        <td>{formatLoss(path.lossOut)}</td>
                        <td>{formatLoss(path.lossIn)}</td>
                        <td>{path.mtuBytes || "–"} bytes</td>
                      </>
                    )
                    : (
                      <td colSpan={4} class="aside">
                        no probe is answered
                      </td>
                    )}
                </tr>
              ))}
            </Table>
          )}
    </Loading>
  );
}

function formatRtt(seconds: number | undefined): string {
  return seconds === undefined ? "–" : `${(1_000 * seconds).toFixed(2)} ms`;
}

function formatLoss(share: number): string {
  return share === 0 ? "0%" : `${(100 * share).toFixed(1)}%`;
}
