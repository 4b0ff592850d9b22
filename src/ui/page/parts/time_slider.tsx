import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { past, readPast } from "../past.ts";
import { formatAgo, formatUtcMs } from "../../../base/duration.ts";
import {
  eventMoment,
  momentAt,
  SLIDER_STEPS,
  stepOf,
} from "../plan/timeline.ts";
import { moment, setParams } from "../router.ts";

/** Moves the view back in time, as far as events go. The moment is in the URL. */
export function TimeSlider(): JSX.Element {
  const atMs = moment.value;
  useEffect(() => {
    if (atMs !== undefined) void readPast();
  }, [atMs !== undefined]);
  const known = past.value;
  const events = known?.events ?? cluster.value?.events ?? [];
  const times = events.map(({ at }) => at ? timestampMs(at) : 0);
  const endMs = nowMs.value;
  const oldestMs = times.at(-1);
  const beginMs = Math.min(oldestMs ?? endMs, atMs ?? endMs);
  const line = { beginMs, endMs };
  const show = (ms: number | undefined) => {
    void readPast();
    const at = ms === undefined || ms >= endMs
      ? undefined
      : new Date(ms).toISOString();
    setParams({ at }, { replace: true });
  };
  const before = eventMoment(times, atMs, "back");
  const words = atMs === undefined
    ? "now"
    : `${formatUtcMs(atMs)}, ${formatAgo(endMs - atMs)}`;
  return (
    <div class="time-slider" role="group" aria-label="Time">
      <button
        type="button"
        disabled={before === undefined}
        onClick={() => show(before)}
        title="The event before"
        aria-label="Go back to the event before"
      >
        ◀
      </button>
      <input
        type="range"
        min={0}
        max={SLIDER_STEPS}
        value={stepOf(line, atMs)}
        aria-label="Moment that the view shows"
        aria-valuetext={words}
        disabled={oldestMs === undefined}
        onPointerDown={() => void readPast()}
        onFocus={() => void readPast()}
        onInput={({ currentTarget }) =>
          show(momentAt(line, Number(currentTarget.value)))}
      />
      <button
        type="button"
        disabled={atMs === undefined}
        onClick={() => show(eventMoment(times, atMs, "forward"))}
        title="The next event"
        aria-label="Go on to the next event"
      >
        ▶
      </button>
      <button
        type="button"
        disabled={atMs === undefined}
        onClick={() => show(undefined)}
      >
        Now
      </button>
      <output>
        {atMs === undefined ? "Live" : `As of ${words}`}
      </output>
      <span class="aside">
        {known?.error !== undefined
          ? `Cannot read older events: ${known.error}`
          : oldestMs === undefined
          ? "No events are recorded yet"
          : known
          ? `Events go back to ${formatUtcMs(oldestMs)}`
          : ""}
      </span>
    </div>
  );
}
