import assert from "node:assert/strict";
import { waitFor } from "./wait_for.ts";

Deno.test("waitFor() returns what the condition gave once it holds", async () => {
  const answers = ["", "", "there", "never asked"];
  const value = await waitFor("a word", () => answers.shift(), { everyMs: 1 });
  assert.equal(value, "there");
  assert.deepEqual(answers, ["never asked"]);
});

Deno.test("waitFor() takes a condition that throws for one that does not hold", async () => {
  let looks = 0;
  const look = () => {
    if (++looks < 3) throw new Error(`look ${looks}`);
    return Promise.resolve(looks);
  };
  assert.equal(await waitFor("a third look", look, { everyMs: 1 }), 3);
});

Deno.test("waitFor() gives up in time, saying for what, and why at last", async () => {
  const cause = new Error("not yet");
  await assert.rejects(
    waitFor("the end", () => Promise.reject(cause), { timeoutMs: 20 }),
    {
      message:
        "Cannot wait any longer for the end: it is not there after 20 ms",
      cause,
    },
  );
});
