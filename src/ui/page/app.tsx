import type { JSX } from "preact";
import { cluster, clusterLink } from "./cluster.ts";
import { type ViewName, VIEWS } from "./plan/place.ts";
import { linkTo, place } from "./router.ts";
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

const TITLES: Readonly<Record<ViewName, string>> = {
  overview: "Overview",
  space: "Space",
  host: "Hosts",
  paths: "Paths",
  events: "Events",
  search: "Search",
};

export function App(): JSX.Element {
  const View = COMPONENTS[place.value.view];
  return (
    <>
      <header>
        <nav aria-label="Views">
          {VIEWS.map((view) => (
            <a
              key={view}
              href={linkTo(view)}
              aria-current={view === place.value.view ? "page" : undefined}
            >
              {TITLES[view]}
            </a>
          ))}
        </nav>
        <p role="status">
          {cluster.value?.verdict ?? clusterLink.value.kind}
        </p>
      </header>
      <main>
        <View />
      </main>
    </>
  );
}
