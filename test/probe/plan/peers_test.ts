import assert from "node:assert/strict";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import {
  addressesOf,
  headerBytes,
  ownEnds,
  pathEnds,
  type ProbedNode,
  type ProbeLink,
} from "../../../src/probe/plan/peers.ts";

function node(subnets: string, advertised: string): ProbedNode {
  const words = (text: string) => text === "" ? [] : text.split(" ");
  return {
    name: "a",
    subnets: words(subnets).map(parsePrefix),
    advertised: words(advertised).map(parseAddress),
  };
}

function link(name: string, mtuBytes: number, ...held: string[]): ProbeLink {
  const addresses = held.map((text) => ({ address: parseAddress(text) }));
  return { name, mtuBytes, addresses };
}

const BOTH = node("172.16.4.0/22 fd00:1::/64", "2001:2::1 198.18.0.1");

Deno.test("pathEnds() has the host and the gateway of each family, IPv4 first", () => {
  const ends = (of: ProbedNode) =>
    pathEnds(of).map(({ family, host, gateway }) =>
      `${family} ${formatAddress(host)} ${gateway && formatAddress(gateway)}`
    );
  assert.deepEqual(ends(BOTH), [
    "4 198.18.0.1 172.16.4.1",
    "6 2001:2::1 fd00:1::1",
  ]);
  assert.deepEqual(ends(node("fd00:1::/64", "198.18.0.1")), [
    "4 198.18.0.1 undefined",
  ]);
  assert.deepEqual(ends(node("172.16.4.0/22", "")), []);
});

Deno.test("addressesOf() has what a node may send from, and nothing else", () => {
  assert.deepEqual(addressesOf(BOTH).map(formatAddress), [
    ...["2001:2::1", "198.18.0.1", "172.16.4.1", "fd00:1::1"],
  ]);
});

Deno.test("ownEnds() takes the gateway where an interface has it, and the narrower MTU", async (t) => {
  const uplink = link("eth0", 1500, "198.18.0.1");
  const rows: [string, ProbeLink[], string[]][] = [
    ["no interface", [], []],
    ["no bridge", [uplink], ["198.18.0.1 1500"]],
    [
      "a bridge",
      [uplink, link("br0", 1500, "172.16.4.1")],
      ["172.16.4.1 1500"],
    ],
    [
      "a narrower bridge",
      [uplink, link("br0", 1400, "172.16.4.1")],
      ["172.16.4.1 1400"],
    ],
    [
      "a wider bridge",
      [uplink, link("br0", 9000, "172.16.4.1")],
      ["172.16.4.1 1500"],
    ],
    ["an address on loopback", [link("lo", 65536, "198.18.0.1")], []],
    ["an address that is gone", [link("eth0", 1500, "198.18.0.9")], []],
  ];
  for (const [name, links, expected] of rows) {
    await t.step(name, () => {
      const ends = ownEnds(node("172.16.4.0/22", "198.18.0.1"), links);
      assert.deepEqual(
        ends.map(({ source, mtuBytes }) =>
          `${formatAddress(source)} ${mtuBytes}`
        ),
        expected,
      );
    });
  }
});

Deno.test("headerBytes() leaves the payload of a packet of full MTU", () => {
  assert.deepEqual([1500 - headerBytes(4), 1500 - headerBytes(6)], [
    ...[1472, 1452],
  ]);
});
