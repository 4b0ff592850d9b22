import { render } from "preact";
import { App } from "./app.tsx";
import { startClock } from "./clock.ts";
import { followCluster } from "./cluster.ts";
import { startRouter } from "./router.ts";

startRouter();
startClock();
render(<App />, document.getElementById("app")!);
void followCluster();
