import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app.tsx";
import { startClock } from "./clock.ts";
import { cluster, clusterLink, followCluster } from "./cluster.ts";
import { openHelp } from "./help.tsx";
import { startKeyboard } from "./keyboard.ts";
import { verdictOf } from "./parts/verdict.tsx";
import { type Condition, CONDITION_LOOKS } from "./plan/host_status.ts";
import { TITLES } from "./plan/place.ts";
import { place, startRouter } from "./router.ts";
import { SEARCH_ID } from "./search_box.tsx";

const DOTS: Readonly<Record<Condition, readonly [string, number]>> = {
  silent: ["#c03d00", 5],
  error: ["#c03d00", 5],
  warning: ["#e8b04d", 4],
  unknown: ["#7a838f", 3],
  "no-agent": ["#7a838f", 3],
  well: ["#00906c", 2],
};

startRouter();
startClock();
startKeyboard({ search: focusSearch, help: openHelp });
render(<App />, document.getElementById("app")!);
// A tab in the background shows a fault in its title.
effect(() => {
  const { view, params } = place.value;
  const { kind } = clusterLink.value;
  const condition = verdictOf(cluster.value);
  const state = kind === "live" ? CONDITION_LOOKS[condition].sign : "\u2026";
  const name = view === "host" && params.name ? params.name : TITLES[view];
  showIcon(kind === "live" ? condition : "unknown");
  document.title = `${state} ${name} · stellar-net`;
});
void followCluster();

/** Draws the page's icon with a dot that tells the condition by colour and size. */
function showIcon(condition: Condition): void {
  const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  if (!link) return;
  const [colour, radius] = DOTS[condition];
  const icon = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>" +
    "<path fill='#2f6fdb' d='M1 1h6v6H1zM9 9h6v6H9z'/>" +
    "<path fill='#89b4f5' d='M9 1h6v6H9zM1 9h6v6H1z'/>" +
    `<circle cx='10.5' cy='10.5' r='${radius}' fill='${colour}' ` +
    "stroke='#fff'/></svg>";
  const url = `data:image/svg+xml,${encodeURIComponent(icon)}`;
  if (link.href !== url) link.href = url;
}

function focusSearch(): void {
  const field = document.getElementById(SEARCH_ID);
  if (field instanceof HTMLInputElement) field.select();
  field?.focus();
}
