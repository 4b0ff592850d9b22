import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { formatTimeLeft, formatUtcMs } from "../../../base/duration.ts";
import { formatShare } from "../../../base/share.ts";
import {
  type HostRoute,
  HostRouteState,
  type ListHostRoutesResponse,
  RouteMode,
} from "../../../gen/stellar/net/v1/agent_pb.ts";
import type {
  HostSummary,
  SubnetUse,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../../gen/stellar/net/v1/registry_pb.ts";
import { agentApi, clusterApi } from "../api.ts";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { Command } from "../parts/command.tsx";
import { Containers } from "../parts/containers.tsx";
import { EventList } from "../parts/event_list.tsx";
import { ConditionMark, Mark } from "../parts/marks.tsx";
import { Meter } from "../parts/meter.tsx";
import { Loading, Notice } from "../parts/notice.tsx";
import { Problems } from "../parts/problems.tsx";
import { Ago, At } from "../parts/time.tsx";
import { useLoad } from "../parts/use_load.ts";
import { statusOf } from "../plan/host_status.ts";
import { linkTo, moment } from "../router.ts";

/** Events that are shown of a host. */
const LAST_EVENTS = 15;
/** Interval at which routes and paths are read again, in ms. */
const READ_AGAIN_MS = 5_000;
/** Routes in good order that are shown at first. */
const FIRST_ROUTES = 10;

/** One host: its problems, addresses, containers, routes, paths and events. */
export function HostDetail({ name }: { readonly name: string }): JSX.Element {
  const view = cluster.value;
  const at = moment.value;
  if (!view) return <Notice title="Waiting for the agent’s first answer…" />;
  const host = view.hosts.get(name);
  return (
    <>
      <h1>
        <a href={linkTo("host")}>Hosts</a> <span aria-hidden="true">/</span>
        {" "}
        {name}{" "}
        {host && at === undefined && (
          <ConditionMark condition={statusOf(host).condition} />
        )}
      </h1>
      {at !== undefined && <Past at={at} />}
      {host
        ? <Present name={name} host={host} at={at} />
        : (
          <Notice title={`There is no host ${name} in the cluster now`}>
            <p>
              <a href={linkTo("search", { q: name })}>Search for it</a>, or look
              {" "}
              at <a href={linkTo("events", { node: name })}>its events</a>.
            </p>
          </Notice>
        )}
      <HostEvents name={name} at={at} />
    </>
  );
}

/** Says which parts of the view are of the moment that it shows. */
function Past({ at }: { readonly at: number }): JSX.Element {
  return (
    <p class="past" role="status">
      Addresses, containers and events as of{" "}
      <b>{formatUtcMs(at)}</b>. Problems, routes and paths are known only for
      now, and are left out.
    </p>
  );
}

function Present({ name, host, at }: {
  readonly name: string;
  readonly host: HostSummary;
  readonly at: number | undefined;
}): JSX.Element {
  const { node, report } = host;
  const hasAgent = node?.state !== NodeState.NO_AGENT;
  // What the registry says of a host that is silent stands among the problems of
  // the cluster, not in its report.
  const problems = (cluster.value?.problems ?? [])
    .filter((problem) => problem.node === name);
  return (
    <>
      {at === undefined && (
        <>
          <Facts host={host} />
          {problems.length > 0
            ? (
              <section aria-labelledby="problems-title">
                <h2 id="problems-title">Problems</h2>
                <Problems problems={problems} isOfOneHost />
              </section>
            )
            : hasAgent && !report && (
              <Notice title="The host has sent no report yet">
                <Command text={`stellar-net doctor ${name}`} />
              </Notice>
            )}
          <section aria-labelledby="subnets-title">
            <h2 id="subnets-title">Subnets</h2>
            <Subnets host={host} />
          </section>
        </>
      )}
      <section aria-labelledby="containers-title">
        <h2 id="containers-title">Containers</h2>
        <Containers node={name} at={at} />
      </section>
      {at === undefined && hasAgent && (
        <>
          <section aria-labelledby="routes-title">
            <h2 id="routes-title">Routes</h2>
            <Routes name={name} host={host} />
          </section>
          <section aria-labelledby="paths-title">
            <h2 id="paths-title">
              <a href={linkTo("paths", { node: name })}>Paths</a>
            </h2>
            <Paths name={name} />
          </section>
        </>
      )}
    </>
  );
}

function Facts({ host }: { readonly host: HostSummary }): JSX.Element {
  const { node, report } = host;
  const isSilent = node?.state === NodeState.UNREACHABLE;
  return (
    <>
      {isSilent && (
        <p class="aside is-warning">
          It sends no heartbeats. What is shown of it is its last report
          {node.seenAt && (
            <>
              , heard <Ago at={node.seenAt} />
            </>
          )}.
        </p>
      )}
      <dl class="facts">
        <div>
          <dt>Addresses</dt>
          <dd>{node?.advertised.join(", ") || "–"}</dd>
        </div>
        <div>
          <dt>Joined</dt>
          <dd>
            <At at={node?.joinedAt} />
          </dd>
        </div>
        <div>
          <dt>Agent</dt>
          <dd>{report ? report.version : "–"}</dd>
        </div>
        <div>
          <dt>Started</dt>
          <dd>
            <Ago at={report?.startedAt} />
          </dd>
        </div>
        {report && report.leaked > 0 && (
          <div class="is-warning">
            <dt>Leaked</dt>
            <dd>{report.leaked} addresses</dd>
          </div>
        )}
        {report && report.queued > 0 && (
          <div class="is-warning">
            <dt>Queued releases</dt>
            <dd>{report.queued}</dd>
          </div>
        )}
      </dl>
      {node?.problem && (
        <p class="aside is-warning">Its identity: {node.problem}</p>
      )}
    </>
  );
}

function Subnets({ host }: { readonly host: HostSummary }): JSX.Element {
  const { node, report } = host;
  const owned = node?.subnets ?? [];
  if (owned.length === 0) {
    return <p class="aside">It owns no subnet: it has routes only.</p>;
  }
  return (
    <div class="cards">
      {owned.map((cidr) => (
        <Subnet
          key={cidr}
          cidr={cidr}
          use={report?.subnets.find((use) => use.cidr === cidr)}
        />
      ))}
    </div>
  );
}

function Subnet({ cidr, use }: {
  readonly cidr: string;
  readonly use: SubnetUse | undefined;
}): JSX.Element {
  return (
    <article>
      <h3>
        <a href={linkTo("space", { prefix: cidr })}>{cidr}</a>
      </h3>
      {use
        ? (
          <>
            <Meter
              label={`Addresses of ${cidr}`}
              whole={use.capacity}
              parts={[
                { kind: "held", amount: Number(use.held), label: "held" },
                {
                  kind: "cooling",
                  amount: Number(use.cooling),
                  label: "cooling",
                },
              ]}
            />
            <p>
              <b>{use.held.toLocaleString("en")}</b> held
              {use.cooling > 0n && `, ${use.cooling} cooling`} of{" "}
              {use.capacity.toLocaleString("en")}{" "}
              ({formatShare(Number(use.held), use.capacity)})
            </p>
            <p class={use.fullAt ? "is-warning" : "aside"}>
              {use.fullAt
                ? `full ${
                  formatTimeLeft(timestampMs(use.fullAt) - nowMs.value)
                }`
                : use.growthPerDay === undefined
                ? "no forecast: less than a day of data"
                : "it will not fill up at the rate of the last days"}
            </p>
          </>
        )
        : <p class="aside">Its use is not reported.</p>}
    </article>
  );
}

const ROUTE_LOOKS: Readonly<
  Record<
    HostRouteState,
    { readonly kind: string; readonly sign: string; readonly label: string }
  >
> = {
  [HostRouteState.UNSPECIFIED]: { kind: "unknown", sign: "?", label: "?" },
  [HostRouteState.INSTALLED]: {
    ...{ kind: "well", sign: "\u2713", label: "installed" },
  },
  [HostRouteState.PENDING]: {
    ...{ kind: "warning", sign: "!", label: "pending" },
  },
  [HostRouteState.CONFLICT]: {
    ...{ kind: "error", sign: "\u2715", label: "in conflict" },
  },
  [HostRouteState.WAITING]: {
    ...{ kind: "warning", sign: "!", label: "waiting" },
  },
  [HostRouteState.NOT_NEEDED]: {
    ...{ kind: "no-agent", sign: "\u2013", label: "not needed" },
  },
  [HostRouteState.FAILED]: {
    ...{ kind: "error", sign: "\u2715", label: "failed" },
  },
  [HostRouteState.UNKNOWN]: {
    ...{ kind: "unknown", sign: "?", label: "not read" },
  },
};

const MODES: Readonly<Record<RouteMode, string>> = {
  [RouteMode.UNSPECIFIED]: "",
  [RouteMode.APPLY]: "",
  [RouteMode.PLAN]:
    "The agent only plans routes (--routes plan): somebody else installs them.",
  [RouteMode.OFF]: "The agent leaves the routes alone (--routes off).",
};

function Routes({ name, host }: {
  readonly name: string;
  readonly host: HostSummary;
}): JSX.Element {
  const { report } = host;
  const counts = [
    report?.routesWanted,
    report?.routesInstalled,
    report?.routesConflicting,
    report?.routesUnresolved,
  ].join();
  const loaded = useLoad(
    name,
    (signal) => readRoutes(name, signal),
    { version: counts, intervalMs: READ_AGAIN_MS },
  );
  return (
    <Loading loaded={loaded} what="the routes">
      {(routes) => <RouteTable {...routes} />}
    </Loading>
  );
}

interface Routes {
  readonly first: ListHostRoutesResponse;
  readonly routes: readonly HostRoute[];
}

async function readRoutes(node: string, signal: AbortSignal): Promise<Routes> {
  const first = await agentApi.listHostRoutes({ node }, { signal });
  // An agent that is older than the field has answered for its own host.
  if (first.node !== node) {
    throw new Error(
      "the agent behind this page is too old to ask other hosts for their routes",
    );
  }
  const routes = [...first.routes];
  for (let pageToken = first.nextPageToken; pageToken !== "";) {
    const page = await agentApi
      .listHostRoutes({ node, pageToken }, { signal });
    routes.push(...page.routes);
    pageToken = page.nextPageToken;
  }
  return { first, routes };
}

function RouteTable({ first, routes }: Routes): JSX.Element {
  const shown = useSignal(FIRST_ROUTES);
  const wrong = routes.filter(({ state }) => !isInOrder(state));
  const right = routes.filter(({ state }) => isInOrder(state));
  if (routes.length === 0) {
    return (
      <p class="aside">
        It needs none: there is no other host with a subnet, and no extra route.
      </p>
    );
  }
  return (
    <>
      {MODES[first.mode] !== "" && <p class="aside">{MODES[first.mode]}</p>}
      {first.error !== "" && <p class="is-error">{first.error}</p>}
      <p>
        <b>
          {routes.filter(({ state }) => state === HostRouteState.INSTALLED)
            .length}
        </b>{" "}
        of {routes.length} are in the kernel
        {first.lookedAt && (
          <span class="aside">
            , read <Ago at={first.lookedAt} />
          </span>
        )}
      </p>
      <div class="wide" role="region" aria-label="Routes" tabIndex={0}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">To</th>
              <th scope="col">Via</th>
              <th scope="col">Of</th>
              <th scope="col">State</th>
              <th scope="col">Why</th>
            </tr>
          </thead>
          <tbody>
            {[...wrong, ...right.slice(0, shown.value)].map((route) => (
              <tr key={`${route.cidr} ${route.target}`}>
                <th scope="row">
                  <a href={linkTo("space", { prefix: route.cidr })}>
                    {route.cidr}
                  </a>
                </th>
                <td class="address">{route.target}</td>
                <td>
                  {route.node !== ""
                    ? (
                      <a href={linkTo("host", { name: route.node })}>
                        {route.node}
                      </a>
                    )
                    : <span class="aside">extra route</span>}
                </td>
                <td>
                  <Mark {...ROUTE_LOOKS[route.state]} />
                </td>
                <td>
                  {route.why}
                  {!isInOrder(route.state) &&
                    route.actual.map((line) => (
                      <div key={line}>
                        in the kernel: <code>{line}</code>
                      </div>
                    ))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {right.length > shown.value && (
        <button
          type="button"
          class="more"
          onClick={() => shown.value = right.length}
        >
          Show all {routes.length} routes
        </button>
      )}
      {wrong.length > 0 && first.commands.length > 0 && (
        <details>
          <summary>What the agent would still do</summary>
          {first.commands.map((command) => (
            <p key={command}>
              <Command text={command} />
            </p>
          ))}
        </details>
      )}
    </>
  );
}

function isInOrder(state: HostRouteState): boolean {
  return state === HostRouteState.INSTALLED ||
    state === HostRouteState.NOT_NEEDED;
}

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

function Paths({ name }: { readonly name: string }): JSX.Element {
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
            <div class="wide" role="region" aria-label="Paths" tabIndex={0}>
              <table class="list">
                <thead>
                  <tr>
                    <th scope="col">To</th>
                    <th scope="col">State</th>
                    <th scope="col">Since</th>
                    <th scope="col">Round trip</th>
                    <th scope="col">Lost out</th>
                    <th scope="col">Lost in</th>
                    <th scope="col">Largest packet</th>
                  </tr>
                </thead>
                <tbody>
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
                      <td>
                        {path.rttSeconds === undefined
                          ? "–"
                          : `${(1_000 * path.rttSeconds).toFixed(2)} ms`}
                      </td>
                      <td>{formatLoss(path.lossOut)}</td>
                      <td>{formatLoss(path.lossIn)}</td>
                      <td>
                        {path.mtuBytes === 0 ? "–" : `${path.mtuBytes} bytes`}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
    </Loading>
  );
}

function formatLoss(share: number): string {
  return share === 0 ? "0%" : `${(100 * share).toFixed(1)}%`;
}

function HostEvents({ name, at }: {
  readonly name: string;
  readonly at: number | undefined;
}): JSX.Element {
  // An event of this host makes it read again.
  const latest = cluster.value?.events.find(({ node }) => node === name);
  const loaded = useLoad(
    `${name} ${at}`,
    (signal) =>
      clusterApi.listEvents({
        node: name,
        pageSize: LAST_EVENTS,
        ...at !== undefined && { until: timestampFromMs(at + 1_000) },
      }, { signal }),
    { version: `${latest?.at?.seconds} ${latest?.text}` },
  );
  return (
    <section aria-labelledby="host-events-title">
      <h2 id="host-events-title">
        <a href={linkTo("events", { node: name })}>Events</a>
      </h2>
      <Loading loaded={loaded} what="the events">
        {({ events }) => <EventList events={events} />}
      </Loading>
    </section>
  );
}
