import type { JSX } from "preact";
import {
  type Found,
  FoundKind,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { clusterApi } from "../api.ts";
import { cluster } from "../cluster.ts";
import { moveWithArrows } from "../parts/arrows.ts";
import { ConditionMark } from "../parts/marks.tsx";
import { Loading, Notice } from "../parts/notice.tsx";
import { At } from "../parts/time.tsx";
import { useLoad } from "../parts/use_load.ts";
import { listHosts } from "../plan/host_list.ts";
import { statusOf } from "../plan/host_status.ts";
import { linkTo, place } from "../router.ts";

/** Hosts that are listed at most. */
const MOST_HOSTS = 12;
/** Former holders of an address that are asked for. */
const HISTORY = 20;

const KINDS: Readonly<Record<FoundKind, string>> = {
  [FoundKind.UNSPECIFIED]: "",
  [FoundKind.ALLOCATION]: "held",
  [FoundKind.HISTORY]: "former",
  [FoundKind.SUBNET]: "subnet",
  [FoundKind.NODE]: "host",
  [FoundKind.ROUTE]: "route",
};

export function SearchView(): JSX.Element {
  const what = (place.value.params.q ?? "").trim();
  if (what === "") {
    return (
      <>
        <h1>Search</h1>
        <Notice title="What are you looking for?">
          <ul>
            <li>
              an address: who holds it, where, since when, and who held it
              before
            </li>
            <li>a prefix, such as 172.16.4.0/22</li>
            <li>a container id</li>
            <li>the name of a host, or a part of it</li>
            <li>a MAC address</li>
          </ul>
          <p class="aside">
            <kbd>/</kbd> goes to the search from anywhere.
          </p>
        </Notice>
      </>
    );
  }
  return <Results what={what} />;
}

function Results({ what }: { readonly what: string }): JSX.Element {
  const loaded = useLoad(
    what,
    (signal) => clusterApi.find({ what, history: HISTORY }, { signal }),
  );
  const hosts = listHosts(cluster.value?.hosts.values() ?? [], {
    ...{ text: what, condition: undefined, sort: "name" },
  });
  return (
    <div class="stack" onKeyDown={moveWithArrows}>
      <h1>
        Search for <q>{what}</q>
      </h1>
      {hosts.length > 0 && (
        <section aria-labelledby="hosts-found">
          <h2 id="hosts-found">Hosts</h2>
          <ul class="found">
            {hosts.slice(0, MOST_HOSTS).map((host) => {
              const { name, condition } = statusOf(host);
              return (
                <li key={name}>
                  <a data-item href={linkTo("host", { name })}>{name}</a>
                  <ConditionMark condition={condition} />
                  <span class="aside">{host.node?.subnets.join(", ")}</span>
                </li>
              );
            })}
          </ul>
          {hosts.length > MOST_HOSTS && (
            <a data-item href={linkTo("host", { text: what })}>
              All {hosts.length} hosts
            </a>
          )}
        </section>
      )}
      <section aria-labelledby="found-title">
        <h2 id="found-title">In the cluster’s records</h2>
        <Loading loaded={loaded} what="matches">
          {({ found, silentNodes, truncated }) => (
            <>
              {silentNodes.length > 0 && (
                <p class="aside is-warning">
                  Matches may be missing: {silentNodes.join(", ")}{" "}
                  did not answer.
                </p>
              )}
              {found.length === 0 && hosts.length > 0
                ? <p class="aside">Nothing else by exactly this name.</p>
                : found.length === 0
                ? (
                  <Notice title={`No record of ${what}`}>
                    <p class="aside">
                      It looks for whole addresses, prefixes, container ids,
                      host names and MAC addresses. Nobody holds it, and nobody
                      held it for as long as the hosts keep their history.
                    </p>
                  </Notice>
                )
                : (
                  <ul class="found">
                    {found.map((match, i) => <Match key={i} match={match} />)}
                  </ul>
                )}
              {truncated && <p class="aside">There are more matches.</p>}
            </>
          )}
        </Loading>
      </section>
    </div>
  );
}

function Match({ match }: { readonly match: Found }): JSX.Element {
  const { kind, node, text, since, until, allocation } = match;
  return (
    <li>
      <span class="tag">{KINDS[kind]}</span>
      <span class="text">{text}</span>
      <span class="aside">
        {since && (
          <>
            since <At at={since} />
          </>
        )}
        {until && (
          <>
            {" until "}
            <At at={until} />
          </>
        )}
      </span>
      <span class="links">
        {node !== "" && (
          <a data-item href={linkTo("host", { name: node })}>{node}</a>
        )}
        {allocation?.addresses.map(({ address }) => (
          <a
            key={address}
            data-item
            href={linkTo("space", { prefix: address })}
          >
            {address} in space
          </a>
        ))}
      </span>
    </li>
  );
}
