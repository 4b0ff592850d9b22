import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app.tsx";
import { startClock } from "./clock.ts";
import { cluster, clusterLink, followCluster } from "./cluster.ts";
import { openHelp } from "./help.tsx";
import { startKeyboard } from "./keyboard.ts";
import { verdictOf } from "./parts/verdict.tsx";
import { CONDITION_LOOKS } from "./plan/host_status.ts";
import { TITLES } from "./plan/place.ts";
import { place, startRouter } from "./router.ts";
import { SEARCH_ID } from "./search_box.tsx";

startRouter();
startClock();
startKeyboard({ search: focusSearch, help: openHelp });
render(<App />, document.getElementById("app")!);
// A tab in the background shows a fault in its title.
effect(() => {
  const { view, params } = place.value;
  const { kind } = clusterLink.value;
  const { sign } = CONDITION_LOOKS[verdictOf(cluster.value)];
  const state = kind === "live" ? sign : "\u2026";
  const name = view === "host" && params.name ? params.name : TITLES[view];
  document.title = `${state} ${name} · stellar-net`;
});
void followCluster();

function focusSearch(): void {
  const field = document.getElementById(SEARCH_ID);
  if (field instanceof HTMLInputElement) field.select();
  field?.focus();
}
