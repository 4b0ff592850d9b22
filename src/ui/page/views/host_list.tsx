import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { formatTimeLeft } from "../../../base/duration.ts";
import { formatShare } from "../../../base/share.ts";
import type {
  HostSummary,
  Report,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { moveWithArrows } from "../parts/arrows.ts";
import { ConditionMark } from "../parts/marks.tsx";
import { Meter } from "../parts/meter.tsx";
import { Notice } from "../parts/notice.tsx";
import { Ago } from "../parts/time.tsx";
import { listHosts, type Sort, SORTS } from "../plan/host_list.ts";
import { CONDITION_LOOKS, CONDITIONS, statusOf } from "../plan/host_status.ts";
import { linkTo, place, setParams } from "../router.ts";
import { More } from "../parts/table.tsx";

/** Rows that are shown at first. */
const FIRST = 200;

const HEADINGS: Readonly<Record<Sort, string>> = {
  name: "Host",
  condition: "State",
  used: "Addresses held",
  problems: "Problems",
};

export function HostList(): JSX.Element {
  const shown = useSignal(FIRST);
  const view = cluster.value;
  if (!view) return <Notice title="Waiting for the agent’s first answer…" />;
  const { params } = place.value;
  const condition = CONDITIONS.find((each) => each === params.condition);
  const sort = SORTS.find((each) => each === params.sort) ?? "name";
  const text = params.text ?? "";
  const rows = listHosts(view.hosts.values(), { text, condition, sort });
  return (
    <>
      <h1>Hosts</h1>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Name, address or subnet{" "}
          <input
            type="search"
            value={text}
            onInput={({ currentTarget }) =>
              setParams({ text: currentTarget.value }, { replace: true })}
          />
        </label>
        <label>
          State{" "}
          <select
            value={condition ?? ""}
            onChange={({ currentTarget }) =>
              setParams({ condition: currentTarget.value }, { replace: true })}
          >
            <option value="">all</option>
            {CONDITIONS.map((each) => (
              <option key={each} value={each}>
                {CONDITION_LOOKS[each].label}
              </option>
            ))}
          </select>
        </label>
        <span role="status" class="aside">
          {rows.length} of {view.hosts.size} hosts
        </span>
      </form>
      {rows.length === 0
        ? (
          <Notice title="No host fits">
            <a href={linkTo("host")}>Show all hosts</a>
          </Notice>
        )
        : (
          <div class="wide" role="region" aria-label="Hosts" tabIndex={0}>
            <table class="list" onKeyDown={moveWithArrows}>
              <thead>
                <tr>
                  {SORTS.map((each) => (
                    <th
                      key={each}
                      scope="col"
                      aria-sort={each !== sort
                        ? undefined
                        : each === "name"
                        ? "ascending"
                        : "descending"}
                    >
                      <button
                        type="button"
                        onClick={() =>
                          setParams({ sort: each }, { replace: true })}
                      >
                        {HEADINGS[each]}
                        <span aria-hidden="true">
                          {each === sort ? " \u2193" : ""}
                        </span>
                      </button>
                    </th>
                  ))}
                  <th scope="col">Full</th>
                  <th scope="col">Routes</th>
                  <th scope="col">Version</th>
                  <th scope="col">Started</th>
                </tr>
              </thead>
              <tbody>
                {rows.slice(0, shown.value).map((host) => (
                  <Row key={host.node?.name} host={host} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      {rows.length > shown.value && (
        <More onClick={() => shown.value += 5 * FIRST}>
          Show more of {rows.length} hosts
        </More>
      )}
    </>
  );
}

/** A host that has not changed is the same object, and is not rendered again. */
function Row({ host }: { readonly host: HostSummary }): JSX.Element {
  const { report } = host;
  const { name, condition, held, cooling, capacity, problems } = statusOf(host);
  const link = linkTo("host", { name });
  return (
    <tr>
      <th scope="row">
        <a data-item href={link}>{name}</a>
      </th>
      <td>
        <ConditionMark condition={condition} />
      </td>
      <td>
        {capacity > 0 && (
          <>
            <Meter
              label="Addresses"
              whole={capacity}
              parts={[
                { kind: "held", amount: held, label: "held" },
                { kind: "cooling", amount: cooling, label: "cooling" },
              ]}
            />{" "}
            {formatShare(held, capacity)}
          </>
        )}
      </td>
      <td>{problems > 0 ? <a href={link}>{problems}</a> : "0"}</td>
      {report
        ? (
          <>
            <td>{fullOf(report)}</td>
            <td
              class={report.routesInstalled < report.routesWanted
                ? "is-warning"
                : undefined}
            >
              <a href={link}>
                {report.routesInstalled} of {report.routesWanted}
              </a>
            </td>
            <td>{report.version}</td>
            <td>
              <Ago at={report.startedAt} />
            </td>
          </>
        )
        : <td colSpan={4} class="aside">no report</td>}
    </tr>
  );
}

/** When the first of a host's subnets will be full. */
function fullOf({ subnets }: Report): string {
  const first = Math.min(
    ...subnets.map(({ fullAt }) => fullAt ? timestampMs(fullAt) : Infinity),
  );
  return first === Infinity ? "–" : formatTimeLeft(first - nowMs.value);
}
