import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import {
  type HostRoute,
  HostRouteState,
  type ListHostRoutesResponse,
  RouteMode,
} from "../../../gen/stellar/net/v1/agent_pb.ts";
import type { HostSummary } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { agentApi } from "../api.ts";
import { readPages } from "../pages.ts";
import { linkTo } from "../router.ts";
import { Command } from "./command.tsx";
import { Mark } from "./marks.tsx";
import { Loading } from "./notice.tsx";
import { Ago } from "./time.tsx";
import { useLoad } from "./use_load.ts";
import { More, Table } from "./table.tsx";

/** Interval at which the kernel's routes are read again, in ms. */
const READ_AGAIN_MS = 5_000;
/** Routes in good order that are shown at first. */
const FIRST_ROUTES = 10;

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

/** The routes that a host should have, and those that its kernel has. */
export function HostRoutes({ name, host }: {
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
  const pages = await readPages((pageToken) =>
    agentApi.listHostRoutes({ node, pageToken }, { signal })
  );
  const first = pages[0]!;
  // An agent that is older than the field has answered for its own host.
  if (first.node !== node) {
    throw new Error(
      "the agent behind this page is too old to ask other hosts for their routes",
    );
  }
  return { first, routes: pages.flatMap(({ routes }) => routes) };
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
      <Table label="Routes" columns={["To", "Via", "Of", "State", "Why"]}>
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
      </Table>
      {right.length > shown.value && (
        <More onClick={() => shown.value = right.length}>
          Show all {routes.length} routes
        </More>
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
