/** The views of the page, in the order of the menu. */
export const VIEWS = [
  "overview",
  "space",
  "host",
  "paths",
  "events",
  "search",
] as const;

export type ViewName = typeof VIEWS[number];

/** The names of the views for people. */
export const TITLES: Readonly<Record<ViewName, string>> = {
  overview: "Overview",
  space: "Space",
  host: "Hosts",
  paths: "Paths",
  events: "Events",
  search: "Search",
};

/** A place in the page: a view, and what it shows. It can be sent to others. */
export interface Place {
  readonly view: ViewName;
  /** Such as `name` of the host view. `at`, a time, is shared by all views. */
  readonly params: Readonly<Record<string, string>>;
}

/**
 * Reads the fragment of the page's URL: `#/host?name=web-1`. A fragment that
 * names no view is the overview.
 */
export function parsePlace(fragment: string): Place {
  const [, name = "", query = ""] = /^#?\/?([^?]*)\??(.*)$/s.exec(fragment) ??
    [];
  const view = VIEWS.find((view) => view === name);
  if (view === undefined) return { view: "overview", params: {} };
  const params = Object.fromEntries(new URLSearchParams(query));
  return { view, params };
}

/** Formats a place as a fragment. Parameters that are empty are left out. */
export function formatPlace(
  view: ViewName,
  params: Readonly<Record<string, string | undefined>> = {},
): string {
  const query = Object.entries(params)
    .filter(([, value]) => value !== undefined && value !== "")
    // What a fragment may hold as it is stays readable: prefixes and times.
    .map(([key, value]) =>
      `${key}=${
        encodeURIComponent(value!).replaceAll("%2F", "/").replaceAll("%3A", ":")
      }`
    ).join("&");
  return `#/${view}${query === "" ? "" : `?${query}`}`;
}
