import assert from "node:assert/strict";
import { parseWanted } from "../../src/cluster/search.ts";

Deno.test("parseWanted() tells addresses, prefixes, MAC addresses and names apart", async (t) => {
  const rows = [
    ["172.16.0.9", "address"],
    ["fd00::9", "address"],
    ["172.16.0.0/22", "prefix"],
    ["0A:58:ac:10:00:09", "mac"],
    ["0a-58-AC-10-00-09", "mac"],
    ["0a:58:ac:10:00", "name"],
    ["0a:58-ac:10:00:09", "name"],
    ["0g:58:ac:10:00:09", "name"],
    ["web-1", "name"],
  ] as const;
  for (const [text, kind] of rows) {
    await t.step(`${text} is a ${kind}`, () => {
      assert.equal(parseWanted(text).kind, kind);
    });
  }
});

Deno.test("parseWanted() writes a MAC address as the kernel does", () => {
  const wanted = { kind: "mac", macAddress: "0a:58:ac:10:00:09" };
  assert.deepEqual(parseWanted("0A-58-AC-10-00-09"), wanted);
});
