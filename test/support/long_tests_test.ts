import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { LONG_TESTS } from "./long_tests.ts";

Deno.test("every long test that starts first is there", async () => {
  for (const file of LONG_TESTS.keys()) {
    assert.ok((await Deno.stat(join(ROOT, file))).isFile, file);
  }
});
