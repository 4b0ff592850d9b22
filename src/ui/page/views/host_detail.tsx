import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { JSX } from "preact";
import { formatUtcMs } from "../../../base/duration.ts";
import type { HostSummary } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../../gen/stellar/net/v1/registry_pb.ts";
import { clusterApi } from "../api.ts";
import { cluster } from "../cluster.ts";
import { Command } from "../parts/command.tsx";
import { Containers } from "../parts/containers.tsx";
import { EventList } from "../parts/event_list.tsx";
import { HostPaths } from "../parts/host_paths.tsx";
import { HostRoutes } from "../parts/host_routes.tsx";
import { HostSubnets } from "../parts/host_subnets.tsx";
import { ConditionMark } from "../parts/marks.tsx";
import { Loading, Notice } from "../parts/notice.tsx";
import { Problems } from "../parts/problems.tsx";
import { Released } from "../parts/released.tsx";
import { Ago, At } from "../parts/time.tsx";
import { TimeSlider } from "../parts/time_slider.tsx";
import { useLoad } from "../parts/use_load.ts";
import { statusOf } from "../plan/host_status.ts";
import { linkTo, moment } from "../router.ts";

/** Events that are shown of a host. */
const LAST_EVENTS = 15;

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
      <TimeSlider />
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
  // One that is silent would leave each part of the view waiting for it.
  const isSilent = node?.state === NodeState.UNREACHABLE;
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
        </>
      )}
      <section aria-labelledby="subnets-title">
        <h2 id="subnets-title">Subnets</h2>
        <HostSubnets name={name} host={host} at={at} hasMaps={!isSilent} />
      </section>
      {!isSilent && (
        <section aria-labelledby="containers-title">
          <h2 id="containers-title">Containers</h2>
          <Containers node={name} at={at} />
          {at === undefined && <Released node={name} />}
        </section>
      )}
      {at === undefined && hasAgent && !isSilent && (
        <>
          <section aria-labelledby="routes-title">
            <h2 id="routes-title">Routes</h2>
            <HostRoutes name={name} host={host} />
          </section>
          <section aria-labelledby="paths-title">
            <h2 id="paths-title">
              <a href={linkTo("paths", { node: name })}>Paths</a>
            </h2>
            <HostPaths name={name} />
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
          It sends no heartbeats
          {node.seenAt && (
            <>
              {" "}(the last one <Ago at={node.seenAt} />)
            </>
          )}. Below is its last report; its containers, routes and paths are
          shown again when it is back.
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
