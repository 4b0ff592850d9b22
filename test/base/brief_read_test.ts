import assert from "node:assert/strict";
import { BriefRead } from "../../src/base/brief_read.ts";

Deno.test("BriefRead gives the value, or undefined when reading takes long, and reads once for all", async () => {
  let readings = 0;
  const answers = [Promise.withResolvers<number>()];
  const read = new BriefRead(() => answers[readings++]!.promise);
  assert.equal(await read.get(), undefined);
  const two = [read.get(), read.get()];
  answers[0]!.resolve(7);
  assert.deepEqual(await Promise.all(two), [7, 7]);
  assert.equal(readings, 1);
  answers.push(Promise.withResolvers());
  const failing = read.get();
  answers[1]!.reject(new Error("no store"));
  await assert.rejects(failing, /no store/);
  assert.equal(readings, 2);
});
