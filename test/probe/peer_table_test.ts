import assert from "node:assert/strict";
import { parseAddress } from "../../src/net/address.ts";
import type { ProberNode } from "../../src/probe/peer.ts";
import { PeerTable, type ProberView } from "../../src/probe/peer_table.ts";
import { nodeId } from "../../src/probe/seal.ts";

const TIMES = { nowMs: 0, sinceMs: 1_000 };

function node(name: string, changes: Partial<ProberNode> = {}): ProberNode {
  return {
    ...{ name, subnets: [], state: "ready" },
    advertised: [parseAddress("198.18.0.1")],
    ...changes,
  };
}

function view(
  nodes: readonly ProberNode[],
  changes: Partial<ProberView> = {},
): ProberView {
  return {
    ...{ clusterId: "c", self: node("m"), version: 1 },
    nodes: new Map(nodes.map((node) => [node.name, node])),
    ...changes,
  };
}

const namesOf = (peers: readonly { readonly name: string }[]) =>
  peers.map(({ name }) => name).join(" ");

Deno.test("PeerTable takes the other nodes that have an agent and an address, in the order of their names", () => {
  const table = new PeerTable();
  const nodes = [
    ...[node("m"), node("z"), node("b", { state: "unreachable" })],
    ...[node("c", { state: "no agent" }), node("d", { advertised: [] })],
  ];
  table.update(view(nodes), TIMES);
  assert.equal(namesOf(table.all), "b z");
  table.update(view([...nodes, node("a")], { version: 2 }), TIMES);
  assert.equal(namesOf(table.all), "a b z");
  assert.equal(table.selfId, nodeId("c", "m"));
  assert.equal(table.withId(nodeId("c", "a"))?.name, "a");
});

Deno.test("PeerTable keeps a peer for as long as its node is in the same cluster", async (t) => {
  const rows: readonly [
    name: string,
    next: ProberView,
    gone: string,
    kept: string,
  ][] = [
    ["the same version", view([node("a")]), "", "a b"],
    ["a node is gone", view([node("a")], { version: 2 }), "b", "a"],
    [
      "another cluster",
      view([node("a"), node("b")], { clusterId: "d" }),
      "a b",
      "",
    ],
    [
      "no cluster",
      view([node("a"), node("b")], { clusterId: "" }),
      "a b",
      "",
    ],
  ];
  for (const [name, next, gone, kept] of rows) {
    await t.step(name, () => {
      const table = new PeerTable();
      table.update(view([node("a"), node("b")]), TIMES);
      const before = table.all;
      assert.equal(namesOf(table.update(next, TIMES)), gone);
      const same = before.filter((peer) => table.all.includes(peer));
      assert.equal(namesOf(same), kept);
      for (const peer of before) {
        const found = table.withId(peer.id);
        assert.equal(found, same.includes(peer) ? peer : undefined);
      }
    });
  }
});

Deno.test("PeerTable samples the peers that are not neighbours, and a silent one three times in a row", () => {
  const table = new PeerTable();
  const names = Array.from({ length: 12 }, (_, i) => `h${10 + i}`);
  table.update(
    view(names.map((name) => node(name)), { self: node("h00") }),
    TIMES,
  );
  const neighbours = "h10 h11 h12 h13 h18 h19 h20 h21";
  assert.equal(namesOf(table.neighbours), neighbours);
  const take = (count: number) =>
    namesOf(Array.from({ length: count }, () => table.takeSample(5_000)!));
  assert.equal(take(5), "h14 h15 h16 h17 h14");
  const silent = table.withId(nodeId("c", "h15"))!.path;
  Object.defineProperty(silent, "isSilent", { value: () => true });
  assert.equal(take(5), "h15 h15 h15 h16 h17");
});
