/**
 * One executable, several faces. This file picks the face, and src/main/ builds
 * its adapters. Each face is imported only when it is picked, so that it does
 * not pay for the imports of the others.
 */
import { BUILD } from "./src/build/build_info.ts";

if (import.meta.main) {
  if (Deno.args[0] === "station-process") {
    // The agent starts it in a network namespace, for a test of a path.
    const { runStation } = await import("./src/main/station.ts");
    Deno.exit(await runStation());
  }
  if (Deno.env.get("CNI_COMMAND") === undefined) {
    const [{ default: { version } }, { runCommandLine }] = await Promise.all([
      import("./deno.json", { with: { type: "json" } }),
      import("./src/main/command_line.ts"),
    ]);
    const main = import.meta.filename!;
    const dir = import.meta.dirname!;
    // A connection that is being made would keep the process for minutes.
    Deno.exit(await runCommandLine({ version, main, dir }));
  } else {
    if (BUILD.kind !== "sources") {
      await (await import("./src/build/permissions.ts")).dropPrograms();
    }
    const { runPlugin } = await import("./src/main/plugin.ts");
    // A runtime that leaves stdin open must not keep the plugin waiting.
    Deno.exit(await runPlugin());
  }
}
