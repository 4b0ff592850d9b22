import assert from "node:assert/strict";
import { parseNftTables } from "../../../src/host/plan/nft_json.ts";
import { dropIndex, isOwn } from "../../../src/host/plan/packet_chain.ts";

const NFT = JSON.stringify({
  nftables: [
    { metainfo: { version: "1.0.6" } },
    { table: { family: "inet", name: "filter", handle: 4 } },
    {
      chain: {
        family: "inet",
        table: "filter",
        name: "forward",
        handle: 1,
        type: "filter",
        hook: "forward",
        prio: 10,
        policy: "drop",
      },
    },
    { chain: { family: "inet", table: "filter", name: "policies", handle: 2 } },
    rule("forward", 3, [
      {
        match: {
          op: "in",
          left: { ct: { key: "state" } },
          right: ["related", "established"],
        },
      },
      {
        match: {
          op: "==",
          left: { payload: { protocol: "ip", field: "daddr" } },
          right: { prefix: { addr: "172.16.0.0", len: 22 } },
        },
      },
      { accept: null },
    ], "stellar-net reply"),
    rule("forward", 4, [
      { match: { op: "!=", left: { meta: { key: "oifname" } }, right: "br0" } },
      { counter: { packets: 0, bytes: 0 } },
      { jump: { target: "policies" } },
    ]),
    rule("forward", 5, [{ counter: { packets: 7, bytes: 8 } }, {
      goto: { target: "policies" },
    }]),
    rule("policies", 6, [{ log: { prefix: "x" } }, {
      reject: { type: "icmpx", expr: "admin-prohibited" },
    }]),
    rule("policies", 7, [{ masquerade: { flags: ["fully-random"] } }]),
    rule("policies", 8, [{ xt: { type: "match", name: "comment" } }, {
      xt: { type: "target", name: "REJECT" },
    }]),
    rule("policies", 9, [{ xt: { type: "match", name: "conntrack" } }, {
      drop: null,
    }]),
    rule("policies", 10, [{
      match: {
        op: "==",
        left: { payload: { protocol: "ip", field: "saddr" } },
        right: { set: ["192.0.2.1"] },
      },
    }, { accept: null }]),
  ],
});

function rule(
  chain: string,
  handle: number,
  expr: unknown[],
  comment?: string,
): unknown {
  return {
    rule: {
      family: "inet",
      table: "filter",
      chain,
      handle,
      expr,
      ...(comment !== undefined && { comment }),
    },
  };
}

Deno.test("parseNftTables() gives chains and rules as nft writes them", () => {
  const [table, ...others] = parseNftTables(NFT);
  assert.deepEqual(others, []);
  assert.equal(`${table!.family} ${table!.name}`, "inet filter");
  const [forward, policies] = table!.chains;
  assert.deepEqual(forward!.base, {
    type: "filter",
    hook: "forward",
    priority: 10,
    policy: "drop",
  });
  assert.equal(policies!.base, undefined);
  assert.deepEqual(
    table!.chains.flatMap(({ rules }) =>
      rules.map(({ id, text, verdict }) =>
        [id, text, verdict?.kind ?? ""].join(" | ")
      )
    ),
    [
      "3 | ct state established,related ip daddr 172.16.0.0/22 accept | ",
      '4 | oifname != "br0" jump policies | ',
      "5 | goto policies | goto",
      '6 | {"log":{"prefix":"x"}} reject with icmpx admin-prohibited | drop',
      "7 | masquerade fully-random | ",
      "8 | REJECT | drop",
      "9 | conntrack drop | ",
      "10 | ip saddr { 192.0.2.1 } accept | ",
    ],
  );
  assert.deepEqual(forward!.rules.map(isOwn), [true, false, false]);
  const byName = new Map(table!.chains.map((chain) => [chain.name, chain]));
  assert.equal(dropIndex(forward!, byName), 2);
});

Deno.test("parseNftTables() knows tables by their chains, and refuses what is no listing", () => {
  const text = JSON.stringify({
    nftables: [{
      chain: { family: "ip", table: "nat", name: "OUTPUT", handle: 1 },
    }],
  });
  assert.deepEqual(parseNftTables(text), [{
    family: "ip",
    name: "nat",
    chains: [{ name: "OUTPUT", rules: [] }],
  }]);
  assert.throws(() => parseNftTables("[]"), SyntaxError);
  assert.throws(() => parseNftTables("Error: x"), SyntaxError);
});
