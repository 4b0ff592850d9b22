import assert from "node:assert/strict";
import { join } from "node:path";
import type { CallPaths } from "../bench/call_paths.ts";
import { ROOT } from "../generate.ts";
import { must } from "../support/cni_plugin.ts";

/** The most files of `src/` that each path of docs/architecture.md may enter. */
const MAX_FILES: Readonly<Record<string, number>> = {
  "AllocateIP over gRPC": 34,
  "CNI ADD": 38,
  // Three of them name the caller in the event that tells of the route.
  "AddRoute until the kernel has it": 55,
  "Join at the registry": 48,
};

Deno.test("a call enters few files on its way to the store and back", async (t) => {
  const { stdout } = await must("unshare", [
    ...["--net", Deno.execPath(), "run", "-A"],
    join(ROOT, "test/bench/call_paths.ts"),
  ]);
  const paths: CallPaths = JSON.parse(stdout);
  assert.deepEqual(Object.keys(paths), Object.keys(MAX_FILES));
  for (const [name, files] of Object.entries(paths)) {
    await t.step(name, () => {
      const entered = Object.keys(files);
      assert.ok(entered.length > 10, "it counts too little");
      assert.ok(
        entered.length <= MAX_FILES[name]!,
        `it enters ${entered.length} files:\n${entered.join("\n")}`,
      );
    });
  }
});
