import assert from "node:assert/strict";
import { OpenCalls } from "../../../src/api/limits/open_calls.ts";

Deno.test("OpenCalls.count() refuses a caller that has too many calls open, and no other", async () => {
  const calls = new OpenCalls({ most: 2, action: "watch the cluster" });
  const opened: string[] = [];
  const open = (caller: string) =>
    calls.count(caller, async function* () {
      opened.push(caller);
      yield 1;
      yield 2;
    });
  const [one, two] = [open("a"), open("a")];
  assert.deepEqual(await one.next(), { value: 1, done: false });
  await two.next();
  await assert.rejects(open("a").next(), {
    code: "exhausted",
    message:
      "Cannot watch the cluster: a has 2 such calls open, which is the limit; end one of them",
  });
  await open("b").next();
  // It ends by itself, or its caller ends it.
  assert.deepEqual(await Array.fromAsync(one), [2]);
  await open("a").next();
  await two.return(undefined);
  await open("a").next();
  assert.deepEqual(opened, ["a", "a", "b", "a", "a"]);
  await assert.rejects(open("a").next(), { code: "exhausted" });
});

Deno.test("OpenCalls.run() counts a call until it has its answer or has failed", async () => {
  const calls = new OpenCalls({ most: 1, action: "ask all hosts" });
  const held = Promise.withResolvers<string>();
  const first = calls.run("a", () => held.promise);
  const second = () => calls.run("a", () => Promise.resolve("again"));
  await assert.rejects(second(), { code: "exhausted" });
  held.reject(new Error("gone"));
  await assert.rejects(first, /gone/);
  assert.equal(await second(), "again");
});
