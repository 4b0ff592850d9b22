import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { formatUtcMs } from "../../../base/duration.ts";
import type { Event } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { clusterApi, explainError } from "../api.ts";
import { cluster, comebacks } from "../cluster.ts";
import { EventList } from "../parts/event_list.tsx";
import { Field } from "../parts/field.tsx";
import { TimeSlider } from "../parts/time_slider.tsx";
import { mergeEvents } from "../plan/cluster_view.ts";
import { type Tone, TONE_LOOKS, toneOf } from "../plan/event_tone.ts";
import { linkTo, moment, place, setParams } from "../router.ts";

/** Events of a page. */
const PAGE_SIZE = 200;
const TONES = Object.keys(TONE_LOOKS) as readonly Tone[];

/** Events that have been loaded, and where the next page begins. */
interface Pages {
  readonly key: string;
  readonly events: readonly Event[];
  /** Undefined: this is all. */
  readonly next: string | undefined;
  readonly isLoading: boolean;
  readonly why: string | undefined;
}

export function EventsView(): JSX.Element {
  const { node = "", tone: wantedTone = "" } = place.value.params;
  const at = moment.value;
  const [pages, load] = useEventPages(node, at);
  const tone = TONES.find((each) => each === wantedTone);
  const live = at === undefined
    ? (cluster.value?.events ?? [])
      .filter((event) => node === "" || event.node === node)
    : [];
  // Between the live events and the first page there is no gap: older live ones
  // than the last of the page are left out.
  const oldestMs = pages.next === undefined
    ? -Infinity
    : atMs(pages.events.at(-1)) ?? Infinity;
  const all = mergeEvents(
    pages.events,
    live.filter((event) => (atMs(event) ?? 0) >= oldestMs),
    Infinity,
  );
  const shown = all
    .filter(({ kind }) => tone === undefined || toneOf(kind) === tone);
  return (
    <>
      <h1>
        Events{node !== "" && <>{" "}of {node}</>}
      </h1>
      <TimeSlider />
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Host{" "}
          <Field
            type="search"
            list="event-hosts"
            value={node}
            onCommit={(text) => setParams({ node: text })}
          />
          <datalist id="event-hosts">
            {[...cluster.value?.hosts.keys() ?? []].slice(0, 500)
              .map((name) => <option key={name} value={name} />)}
          </datalist>
        </label>
        <label>
          Kind{" "}
          <select
            value={tone ?? ""}
            onChange={({ currentTarget }) =>
              setParams({ tone: currentTarget.value }, { replace: true })}
          >
            <option value="">all</option>
            {TONES.map((each) => (
              <option key={each} value={each}>{TONE_LOOKS[each].label}</option>
            ))}
          </select>
        </label>
        <label>
          Up to (UTC){" "}
          <Field
            type="datetime-local"
            step="1"
            value={at === undefined
              ? ""
              : new Date(at).toISOString().slice(0, 19)}
            onCommit={(text) =>
              setParams({ at: text === "" ? undefined : `${text}Z` })}
          />
        </label>
        {(node !== "" || tone !== undefined || at !== undefined) && (
          <a href="#/events">all events up to now</a>
        )}
      </form>
      {pages.why !== undefined && (
        <p class="aside is-warning" role="status">
          Cannot load the events: {pages.why}
        </p>
      )}
      {shown.length === 0 && pages.isLoading
        ? <p class="aside" role="status">Loading the events…</p>
        : <EventList events={shown} />}
      {pages.next !== undefined
        ? (
          <button
            type="button"
            class="more"
            disabled={pages.isLoading}
            onClick={load}
          >
            {pages.isLoading ? "Loading…" : "Show older events"}
          </button>
        )
        : !pages.isLoading && all.length > 0 && (
          <p class="aside">
            {node === ""
              ? `The record of events begins here, on ${
                formatUtcMs(atMs(all.at(-1)) ?? 0)
              }.`
              : `There are no older events of ${node} in the record.`}{" "}
            The cluster keeps the last 10,000 of 30 days.
          </p>
        )}
      {node !== "" && (
        <p>
          <a href={linkTo("host", { name: node })}>The host {node}</a>
        </p>
      )}
    </>
  );
}

/** The pages of events of a node up to a moment, and what loads the next one. */
function useEventPages(
  node: string,
  at: number | undefined,
): [Pages, () => void] {
  const key = `${node} ${at}`;
  const empty: Pages = {
    ...{ key, events: [], next: "", isLoading: true, why: undefined },
  };
  const [state, setState] = useState<Pages>(empty);
  const session = comebacks.value;
  const load = async (from: Pages, signal?: AbortSignal) => {
    setState({ ...from, isLoading: true, why: undefined });
    try {
      const { events, nextPageToken } = await clusterApi.listEvents({
        node,
        pageSize: PAGE_SIZE,
        pageToken: from.next ?? "",
        // Up to the end of the second that is shown.
        ...at !== undefined && { until: timestampFromMs(at + 1_000) },
      }, signal ? { signal } : {});
      if (signal?.aborted) return;
      setState({
        key,
        events: [...from.events, ...events],
        next: nextPageToken === "" ? undefined : nextPageToken,
        isLoading: false,
        why: undefined,
      });
    } catch (error) {
      if (signal?.aborted) return;
      const why = explainError(error);
      setState({ ...from, isLoading: false, why });
    }
  };
  useEffect(() => {
    const ending = new AbortController();
    void load(empty, ending.signal);
    return () => ending.abort();
  }, [key, session]);
  const shown = state.key === key ? state : empty;
  return [shown, () => void load(shown)];
}

function atMs(event: Event | undefined): number | undefined {
  return event?.at && timestampMs(event.at);
}
