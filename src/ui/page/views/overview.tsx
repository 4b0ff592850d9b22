import { timestampMs } from "@bufbuild/protobuf/wkt";
import { computed } from "@preact/signals";
import type { JSX } from "preact";
import { formatTimeLeft } from "../../../base/duration.ts";
import { formatShare } from "../../../base/share.ts";
import type { NetworkUse } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { Command } from "../parts/command.tsx";
import { EventList } from "../parts/event_list.tsx";
import { HostGrid, VERY_MANY } from "../parts/host_grid.tsx";
import { HostMap } from "../parts/host_map.tsx";
import { ConditionMark } from "../parts/marks.tsx";
import { Meter } from "../parts/meter.tsx";
import { Notice } from "../parts/notice.tsx";
import { Problems } from "../parts/problems.tsx";
import { Verdict } from "../parts/verdict.tsx";
import {
  type Condition,
  CONDITIONS,
  isNearlyFull,
  statusOf,
  USE_STEPS,
} from "../plan/host_status.ts";
import { linkTo, place, setParams } from "../router.ts";

/** Events that the overview shows. */
const LAST_EVENTS = 8;

const nearlyFull = computed(() =>
  [...cluster.value?.hosts.values() ?? []].map(statusOf).filter(isNearlyFull)
    .length
);

/** The names of the hosts; it changes only when a host comes or goes. */
const names = computed(() => {
  const now = [...cluster.value?.hosts.keys() ?? []];
  const isSame = now.length === lastNames.length &&
    now.every((name, i) => name === lastNames[i]);
  if (!isSame) lastNames = now;
  return lastNames;
});
let lastNames: readonly string[] = [];

const counts = computed(() => {
  const counts = new Map<Condition, number>();
  for (const host of cluster.value?.hosts.values() ?? []) {
    const { condition } = statusOf(host);
    counts.set(condition, (counts.get(condition) ?? 0) + 1);
  }
  return counts;
});

export function OverviewView(): JSX.Element {
  const view = cluster.value;
  if (!view) return <Notice title="Waiting for the agent’s first answer…" />;
  const { problems, networks, events } = view;
  return (
    <>
      <Verdict />
      <div class="columns">
        <section aria-labelledby="problems-title">
          <h2 id="problems-title">Problems</h2>
          {problems.length === 0
            ? <NoProblems />
            : <Problems problems={problems} />}
        </section>
        <section aria-labelledby="networks-title">
          <h2 id="networks-title">Networks</h2>
          {networks.length === 0
            ? (
              <Notice title="No network yet">
                <Command text="stellar-net network add 172.16.0.0/12" />
              </Notice>
            )
            : networks.map((use) => (
              <NetworkCard key={use.network?.cidr} use={use} />
            ))}
        </section>
      </div>
      <Hosts />
      <section aria-labelledby="events-title">
        <h2 id="events-title">
          <a href={linkTo("events")}>Last events</a>
        </h2>
        <EventList events={events.slice(0, LAST_EVENTS)} />
      </section>
    </>
  );
}

/** No problem is known; that is not to say that there is none. */
function NoProblems(): JSX.Element {
  const unknown = counts.value.get("unknown") ?? 0;
  const hosts = names.value.length;
  if (hosts === 0) {
    return (
      <Notice title="No host has joined yet">
        <p>On this host, make a token; then start an agent on another host.</p>
        <Command text="stellar-net token create" />
      </Notice>
    );
  }
  return unknown === 0
    ? (
      <p class="aside">
        Each of {hosts} {hosts === 1 ? "host" : "hosts"}{" "}
        checks itself and its paths all the time, and reports no problem.
      </p>
    )
    : (
      <p class="aside is-warning">
        <a href={linkTo("host", { condition: "unknown" })}>
          {unknown} of {hosts} hosts
        </a>{" "}
        have sent no report: what happens there is not known.
      </p>
    );
}

function NetworkCard({ use }: { readonly use: NetworkUse }): JSX.Element {
  const { network, subnets, owned, blocked, held, capacity } = use;
  const cidr = network?.cidr ?? "";
  const space = (params: Record<string, string> = {}) =>
    linkTo("space", { prefix: cidr, ...params });
  return (
    <article class="network">
      <h3>
        <a href={space()}>{cidr}</a>{" "}
        <span class="aside">
          {count(subnets)} subnets of /{network?.subnetPrefixLength}
        </span>
      </h3>
      <Meter
        label="Subnets"
        whole={subnets}
        parts={[
          { kind: "owned", amount: Number(owned), label: "owned" },
          { kind: "blocked", amount: Number(blocked), label: "blocked" },
        ]}
      />
      <p>
        <a href={space()}>
          <b>{count(Number(owned))}</b> owned
        </a>
        {blocked > 0n && (
          <>
            {", "}
            <a href={space()}>
              <b>{count(Number(blocked))}</b> reserved or in conflict
            </a>
          </>
        )}
        , {count(Math.max(0, subnets - Number(owned + blocked)))}{" "}
        left ({formatShare(Number(owned + blocked), subnets)} taken)
      </p>
      <Meter
        label="Addresses of the owned subnets"
        whole={capacity}
        parts={[{ kind: "held", amount: Number(held), label: "held" }]}
      />
      <p>
        <a href={space()}>
          <b>{count(Number(held))}</b> addresses held
        </a>{" "}
        of {count(capacity)}{" "}
        that hosts report ({formatShare(Number(held), capacity) || "0%"})
      </p>
      <Forecast use={use} />
    </article>
  );
}

function Forecast({ use }: { readonly use: NetworkUse }): JSX.Element {
  const { growthPerDay, fullAt, fastestNode, fastestPerDay } = use;
  const full = fullAt && formatTimeLeft(timestampMs(fullAt) - nowMs.value);
  return (
    <p class={fullAt ? "is-warning" : "aside"}>
      {full !== undefined
        ? `No subnet left ${full}`
        : growthPerDay === undefined
        ? "No forecast: less than a day of data"
        : "It will not fill up at the rate of the last days"}
      {fastestNode !== "" && (
        <>
          {"; "}
          <a href={linkTo("host", { name: fastestNode })}>{fastestNode}</a>{" "}
          grows most, by {fastestPerDay.toFixed(1)} addresses a day
        </>
      )}
    </p>
  );
}

function Hosts(): JSX.Element {
  const by = place.value.params.by === "use" ? "use" : "state";
  return (
    <section aria-labelledby="hosts-title">
      <h2 id="hosts-title">
        <a href={linkTo("host")}>
          {names.value.length === 1 ? "1 host" : `${names.value.length} hosts`}
        </a>
        <span class="switch" role="group" aria-label="Colour of the hosts">
          {(["state", "use"] as const).map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={each === by}
              onClick={() =>
                setParams({ by: each === "use" ? "use" : undefined }, {
                  replace: true,
                })}
            >
              by {each}
            </button>
          ))}
        </span>
      </h2>
      {by === "state" && <StateLegend />}
      {nearlyFull.value > 0 && (
        <p class="is-warning">
          <a href={linkTo("host", { sort: "used" })}>
            <b>{nearlyFull.value}</b>{" "}
            {nearlyFull.value === 1 ? "host has" : "hosts have"}{" "}
            less than a tenth of the addresses left
          </a>
        </p>
      )}
      {names.value.length > VERY_MANY ? <HostMap by={by} /> : (
        <>
          {by === "use" && <UseLegend />}
          <HostGrid names={names.value} by={by} />
        </>
      )}
    </section>
  );
}

function StateLegend(): JSX.Element {
  return (
    <p class="legend">
      {CONDITIONS.map((condition) => {
        const hosts = counts.value.get(condition) ?? 0;
        return hosts > 0 && (
          <a key={condition} href={linkTo("host", { condition })}>
            <b>{hosts}</b> <ConditionMark condition={condition} />
          </a>
        );
      })}
    </p>
  );
}

function UseLegend(): JSX.Element {
  return (
    <p class="legend">
      {USE_STEPS.map((from, step) => (
        <span key={from}>
          <span class={`swatch is-use-${step}`} aria-hidden="true">{step}</span>
          {" "}
          {from} %{step < USE_STEPS.length - 1
            ? ` to ${USE_STEPS[step + 1]} %`
            : " and more"}
        </span>
      ))}
      <span>
        <span class="swatch is-unknown" aria-hidden="true">?</span> not known
      </span>
    </p>
  );
}

/** A count with thousands apart; one beyond what is exact, rounded. */
function count(amount: number): string {
  return amount > Number.MAX_SAFE_INTEGER
    ? amount.toExponential(2).replace(/e\+?(\d+)/, " × 10^$1")
    : amount.toLocaleString("en");
}
