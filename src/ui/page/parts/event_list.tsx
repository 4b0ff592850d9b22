import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { JSX } from "preact";
import type { Event } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { eventKey } from "../plan/cluster_view.ts";
import { toneOf } from "../plan/event_tone.ts";
import { linkTo } from "../router.ts";
import { moveWithArrows } from "./arrows.ts";
import { ToneMark } from "./marks.tsx";
import { Ago } from "./time.tsx";

/** Events, the latest first, with a line for each day. */
export function EventList({ events }: {
  readonly events: readonly Event[];
}): JSX.Element {
  if (events.length === 0) {
    return <p class="aside">No events are recorded.</p>;
  }
  return (
    <ol class="events" onKeyDown={moveWithArrows}>
      {events.map((event, i) => {
        const day = dayOf(event);
        const isNewDay = i === 0 || day !== dayOf(events[i - 1]!);
        return (
          <EventItem
            key={eventKey(event)}
            event={event}
            day={isNewDay ? day : ""}
          />
        );
      })}
    </ol>
  );
}

function EventItem({ event, day }: {
  readonly event: Event;
  readonly day: string;
}): JSX.Element {
  const { at, kind, node, text, by } = event;
  const tone = toneOf(kind);
  return (
    <li class={`is-${tone}`}>
      {day !== "" && <p class="day">{day}</p>}
      <span class="when">
        {at && timeOf(timestampMs(at))} <Ago at={at} />
      </span>
      <ToneMark tone={tone} />
      <span class="kind">{kind}</span>
      {node !== ""
        ? <a data-item href={linkTo("host", { name: node })}>{node}</a>
        : <span class="aside">cluster</span>}
      <span class="text">
        {text}
        {by !== "" && <span class="aside">, by {by}</span>}
      </span>
    </li>
  );
}

/** A day of UTC: `2026-01-02`. */
function dayOf({ at }: Event): string {
  return at ? new Date(timestampMs(at)).toISOString().slice(0, 10) : "";
}

/** A time of day of UTC: `03:04:05Z`. */
function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)}Z`;
}
