/**
 * `deno task ui`: the live map, of the lab of `deno task lab` if there is one,
 * else of the agent of `deno task start`. Flags of `stellar-net ui` may follow.
 */
import { ROOT } from "../generate.ts";
import { signalChild } from "../support/signal_child.ts";
import { LAB_ID } from "./commands.ts";
import { labDir } from "./lab_folder.ts";

const SOCKETS = [`${labDir(LAB_ID)}/host1/agent.sock`, ".state/agent.sock"];

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket ?? false;
  } catch {
    // Or it belongs to another user.
    return false;
  }
}

const socket = SOCKETS.find(isThere);
if (socket === undefined) {
  console.error(
    "Cannot show a map: there is no agent; run `deno task start` in another terminal, or `deno task lab` as root",
  );
  Deno.exit(1);
}
const child = new Deno.Command(Deno.execPath(), {
  args: ["run", "-A", `${ROOT}/main.ts`, "ui", "--socket", socket]
    .concat(Deno.args),
}).spawn();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(signal, () => signalChild(child, signal));
}
Deno.exit((await child.status).code);
