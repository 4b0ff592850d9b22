import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { JSX } from "preact";
import { formatSpan } from "../../../base/duration.ts";
import { nowMs } from "../clock.ts";
import { cluster } from "../cluster.ts";
import { PATH_LOOKS } from "../plan/palette.ts";
import {
  formatRtt,
  type PathSamples,
  type ShownPath,
} from "../plan/path_view.ts";
import { linkTo } from "../router.ts";
import { Curve } from "./curve.tsx";
import { EventList } from "./event_list.tsx";
import { Sample } from "./legend.tsx";
import { Problems } from "./problems.tsx";

/** Events of a path to show. */
const LAST_EVENTS = 8;

/** One path: what is wrong with it, its curves, and what has happened to it. */
export function PathDetails({ path, samples }: {
  readonly path: ShownPath;
  readonly samples: PathSamples | undefined;
}): JSX.Element {
  const { from, to, state, rttMs, message } = path;
  const look = PATH_LOOKS[state];
  const since = message.path?.since;
  const view = cluster.value;
  const problems = (view?.problems ?? []).filter(({ node, code, subject }) =>
    node === from && subject === to && code.startsWith("path-")
  );
  const events = (view?.events ?? []).filter(({ node, kind, subject }) =>
    node === from && subject === to && kind.startsWith("path ")
  ).slice(0, LAST_EVENTS);
  return (
    <aside class="space-details" aria-label="Details">
      <h2>
        <a href={linkTo("host", { name: from })}>{from}</a>
        <span aria-label="to">→</span>
        <a href={linkTo("host", { name: to })}>{to}</a>
      </h2>
      <p>
        <Sample look={look} /> {look.label}
        {since &&
          ` for ${formatSpan(nowMs.value - timestampMs(since))}`}, round trip
        {" "}
        {formatRtt(rttMs)}
      </p>
      {problems.length > 0 && <Problems problems={problems} isOfOneHost />}
      {samples && samples.times.length > 1
        ? (
          <>
            <Curve
              label="Round trip"
              unit="ms"
              least={0.1}
              times={samples.times}
              series={[{
                label: "round trip",
                values: samples.rttMs,
                colours: PATH_LOOKS.alive.colours,
              }]}
            />
            <Curve
              label="Loss"
              unit="%"
              least={1}
              times={samples.times}
              series={[
                {
                  label: `to ${to}`,
                  values: samples.lossOut,
                  colours: PATH_LOOKS.dead.colours,
                },
                {
                  label: "back",
                  values: samples.lossIn,
                  colours: PATH_LOOKS.lossy.colours,
                  dash: [6, 4],
                },
              ]}
            />
            <p class="aside">
              The curves begin when this page first saw the path; events are
              older.
            </p>
          </>
        )
        : <p class="aside">The curves begin with the next measurements.</p>}
      <h3>Events</h3>
      {events.length > 0
        ? <EventList events={events} />
        : <p class="aside">Nothing has happened to it that is recorded.</p>}
    </aside>
  );
}
