import assert from "node:assert/strict";
import { parseWanted, searchNode } from "../../src/cluster/search.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { networks, request, startAgent } from "../agent/agents.ts";

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

Deno.test("searchNode() finds a thousand allocations at most", async () => {
  await using started = await startAgent({
    networks: networks(["10.0.0.0/16", 20]),
  });
  const { addresses } = started.agent;
  for (const start of [0, 1_000]) {
    await addresses.allocateBatch(
      "a",
      Array.from({ length: 600 }, (_, i) => request(`c${start + i}`)),
    );
  }
  const prefix = parsePrefix("10.0.0.0/8");
  const wanted = { kind: "prefix" as const, prefix };
  const { held } = await searchNode(started.agent, "a", { wanted, history: 0 });
  assert.equal(held.length, 1_000);
});
