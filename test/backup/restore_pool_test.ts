import assert from "node:assert/strict";
import { isPoolKey, skipRecentAddresses } from "../../src/backup/restore.ts";

Deno.test("skipRecentAddresses() moves the search half of each subnet further, within it", async (t) => {
  const rows: readonly [subnet: string, cursor: string[], moved: string][] = [
    ["10.0.0.0/24", ["10.0.0.2"], "10.0.0.128"],
    ["10.0.0.0/24", ["10.0.0.128"], "10.0.0.254"],
    ["10.0.0.0/24", ["10.0.0.129"], "10.0.0.2"],
    ["10.0.0.0/24", ["10.0.0.254"], "10.0.0.127"],
    ["10.0.0.0/24", [], "10.0.0.127"],
    ["10.0.0.0/30", ["10.0.0.2"], "10.0.0.2"],
    ["2001:db8::/64", ["2001:db8::9"], "2001:db8::1:9"],
  ];
  for (const [subnet, cursors, moved] of rows) {
    await t.step(`${subnet} ${cursors}`, () => {
      const key = ["ip", "a", "pool"];
      const value = { subnets: [subnet], cursors };
      assert.deepEqual(skipRecentAddresses({ key, value, version: "" }), {
        subnets: [subnet],
        cursors: [moved],
      });
    });
  }
});

Deno.test("isPoolKey() tells pools from other keys", () => {
  const rows: readonly [key: (string | number)[], isPool: boolean][] = [
    [["ip", "a", "pool"], true],
    [["ip", "a", "handover"], false],
    [["ip", "a", "owner", "pool"], false],
    [["snapshot", "a", "pool"], false],
  ];
  for (const [key, isPool] of rows) assert.equal(isPoolKey(key), isPool);
});
