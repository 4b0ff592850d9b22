import type { JSX } from "preact";
import { formatUtcMs } from "../../base/duration.ts";
import { cluster, clusterLink, reconnect } from "./cluster.ts";
import { Help } from "./help.tsx";
import { Command } from "./parts/command.tsx";
import { Mark } from "./parts/marks.tsx";
import { AgoMs } from "./parts/time.tsx";
import { verdictOf } from "./parts/verdict.tsx";
import { CONDITION_LOOKS } from "./plan/host_status.ts";
import { TITLES, type ViewName, VIEWS } from "./plan/place.ts";
import { linkTo, moment, place, setParams } from "./router.ts";
import { SearchBox } from "./search_box.tsx";
import { EventsView } from "./views/events.tsx";
import { HostView } from "./views/host.tsx";
import { OverviewView } from "./views/overview.tsx";
import { PathsView } from "./views/paths.tsx";
import { SearchView } from "./views/search.tsx";
import { SpaceView } from "./views/space.tsx";

const COMPONENTS: Readonly<Record<ViewName, () => JSX.Element>> = {
  overview: OverviewView,
  space: SpaceView,
  host: HostView,
  paths: PathsView,
  events: EventsView,
  search: SearchView,
};

export function App(): JSX.Element {
  const { view } = place.value;
  const View = COMPONENTS[view];
  const { kind } = clusterLink.value;
  const isPast = kind === "lost" || kind === "ended";
  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>Skip to the view</a>
      <header>
        <Brand />
        <nav aria-label="Views">
          {VIEWS.filter((each) => each !== "search").map((each) => (
            <a
              key={each}
              href={linkTo(each)}
              aria-current={each === view ? "page" : undefined}
            >
              {TITLES[each]}
            </a>
          ))}
        </nav>
        <SearchBox />
        <Help />
      </header>
      <LinkBanner />
      <main
        id="main"
        tabIndex={-1}
        class={`view-${view}${isPast ? " is-past" : ""}`}
      >
        <MomentNote />
        <View />
      </main>
    </>
  );
}

/** The name of the program and the condition of the cluster, in each view. */
function Brand(): JSX.Element {
  const view = cluster.value;
  const condition = verdictOf(view);
  return (
    <a
      class="brand"
      href={linkTo("overview")}
      title={view?.verdict}
    >
      <Mark
        kind={condition}
        sign={CONDITION_LOOKS[condition].sign}
        label={view?.verdict ?? "not known yet"}
        isShort
      />
      stellar-net
    </a>
  );
}

/** Says in a view that knows only the present that it does not show the moment. */
function MomentNote(): JSX.Element | null {
  const { view, params } = place.value;
  const at = moment.value;
  const isFollowing = view === "space" || view === "events" ||
    view === "host" && params.name !== undefined;
  if (at === undefined || isFollowing) return null;
  return (
    <p class="past" role="status">
      This view shows the present. Space, the view of one host and Events show
      {" "}
      {formatUtcMs(at)}.{" "}
      <button
        type="button"
        onClick={() => setParams({ at: undefined })}
      >
        Back to now
      </button>
    </p>
  );
}

/** Says that the view is not live, why, and what to do. Nothing while it is. */
function LinkBanner(): JSX.Element | null {
  const link = clusterLink.value;
  const asOfMs = cluster.value?.asOfMs;
  switch (link.kind) {
    case "live":
    case "connecting":
      return null;
    case "lost":
      return (
        <div class="banner is-warning" role="status">
          <p>
            <b>
              {asOfMs === undefined
                ? "There is no connection to the agent"
                : "The connection to the agent is lost"}
            </b>{" "}
            (<AgoMs ms={link.sinceMs} />): {link.why}.
            {asOfMs !== undefined &&
              ` What you see is the state of ${formatUtcMs(asOfMs)}.`}{" "}
            The page tries again by itself.
          </p>
          <button type="button" onClick={reconnect}>Try now</button>
        </div>
      );
    case "ended":
      return (
        <div class="banner is-error" role="alert">
          <p>
            <b>This page has no access any more:</b> {link.why}.
            {asOfMs !== undefined &&
              ` What you see is the state of ${formatUtcMs(asOfMs)}.`}{" "}
            Run the command again, and open its new link:
          </p>
          <Command text="stellar-net ui" />
        </div>
      );
  }
}

/** The fragment names the view: the link moves the focus by itself. */
function skipToMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
