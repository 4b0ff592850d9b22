import assert from "node:assert/strict";
import { formatLauncher } from "../../src/build/self_extracting.ts";
import { findTarget } from "../../src/build/target.ts";
import { run } from "../support/run.ts";

const OPTIONS = {
  version: "1.2.3",
  target: findTarget("x86_64-unknown-linux-gnu"),
  digest: "0123456789abcdef".repeat(4),
  command: ["run", "--allow-env=A_*", "it's"],
};

Deno.test("formatLauncher() tells where the archive begins", async (t) => {
  for (const padding of [0, 80, 86, 87, 88, 89, 90, 984, 985, 986, 987, 988]) {
    await t.step(`${padding} bytes more`, () => {
      const template = `${"#".repeat(padding)}\noffset=@OFFSET@\n# é\n`;
      const script = formatLauncher(template, OPTIONS);
      const offset = /offset=(\d+)/.exec(script)![1];
      assert.equal(Number(offset), new TextEncoder().encode(script).length + 1);
    });
  }
});

Deno.test("formatLauncher() writes words that a shell takes as they are", async () => {
  const script = formatLauncher("printf '%s|' @COMMAND@ '@NAME@'\n", OPTIONS);
  const { stdout } = await run("sh", ["-c", script]);
  const name = OPTIONS.digest.slice(0, 32);
  assert.equal(stdout, `run|--allow-env=A_*|it's|${name}|`);
});

Deno.test("formatLauncher() leaves nothing open", () => {
  assert.throws(() => formatLauncher("@OFFSET@ @OTHER@", OPTIONS), {
    message: 'Cannot format the launcher: "@OTHER@" is not a placeholder',
  });
});
