import assert from "node:assert/strict";
import { connectionsPerListener } from "../../src/system/open_files.ts";

const ROWS: readonly [limit: string, listeners: number, each: number][] = [
  ["1024", 2, 448],
  ["1024", 1, 896],
  ["100000", 3, 1024],
  ["64", 2, 16],
  ["unlimited", 2, 1024],
];

Deno.test("connectionsPerListener() leaves files to open", async (t) => {
  for (const [limit, listeners, each] of ROWS) {
    await t.step(`${limit} files, ${listeners} listeners`, () => {
      const limits =
        `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${limit}   1048576   files\n`;
      const options = { listeners, most: 1024 };
      assert.equal(connectionsPerListener(limits, options), each);
    });
  }
});

Deno.test("connectionsPerListener() reads this process's own limit", () => {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  assert.match(limits, /^Max open files\s+\S/m);
  const each = connectionsPerListener(limits, { listeners: 2, most: 1024 });
  assert.ok(each >= 16 && each <= 1024);
});
