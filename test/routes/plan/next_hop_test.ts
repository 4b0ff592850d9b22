import assert from "node:assert/strict";
import { parseAddress } from "../../../src/net/address.ts";
import { NextHopLookup } from "../../../src/routes/plan/next_hop.ts";
import { createFakeHost, PROTOCOL, readKernel } from "./kernels.ts";

const COMMANDS = [
  "route add 198.18.7.0/24 dev up0",
  "route add 198.18.7.128/25 dev far0",
  "route add 198.18.7.128/25 dev up0 metric 9",
  "route add 198.18.8.0/24 via 198.18.0.9",
  "route add 198.18.10.0/24 dev up0 proto 83",
  "route add 198.18.11.0/24 dev up0 tos 0x10",
  "route add blackhole 198.18.12.0/24",
  "route add 198.18.0.200/32 via 198.18.0.9",
  "route add 0.0.0.0/0 dev up0",
];

Deno.test("NextHopLookup.find() finds the interface that the kernel would take", async (t) => {
  const kernel = await readKernel(await createFakeHost(COMMANDS));
  const lookup = new NextHopLookup(kernel, PROTOCOL);
  const rows: readonly [name: string, address: string, found: string][] = [
    ["in a connected prefix", "198.18.0.2", "on link up0"],
    [
      "connected, though a gateway is more specific",
      "198.18.0.200",
      "on link up0",
    ],
    ["by a route without gateway", "198.18.7.2", "on link up0"],
    ["the longest prefix, the smallest metric", "198.18.7.200", "on link far0"],
    ["behind a gateway", "198.18.8.2", "off link"],
    ["by a route of ours", "198.18.10.2", "off link"],
    ["by a route for one type of service", "198.18.11.2", "off link"],
    ["in a blackhole", "198.18.12.2", "off link"],
    ["by a default route alone", "203.0.113.1", "off link"],
    ["an address of this host", "198.18.0.1", "local up0"],
    ["an address of a link that is down", "198.18.1.1", "local up1"],
    ["in the prefix of a link that is down", "198.18.1.2", "link down up1"],
    ["an IPv6 neighbour", "2001:db8::2", "on link up0"],
    ["an IPv6 address of this host", "2001:db8::1", "local up0"],
    ["IPv6 elsewhere", "2001:db8:1::2", "off link"],
    ["link-local", "fe80::2", "off link"],
  ];
  for (const [name, address, found] of rows) {
    await t.step(name, () => {
      const state = lookup.find(parseAddress(address));
      const device = state.kind === "off link" ? "" : ` ${state.device}`;
      assert.equal(`${state.kind}${device}`, found);
    });
  }
});

Deno.test("NextHopLookup.find() names some prefixes where a next hop is off link", async () => {
  const why = async (commands: readonly string[], address: string) => {
    const kernel = await readKernel(await createFakeHost(commands));
    const state = new NextHopLookup(kernel, PROTOCOL).find(
      parseAddress(address),
    );
    return state.kind === "off link" ? state.why : state.kind;
  };
  assert.equal(
    await why(COMMANDS, "203.0.113.1"),
    "203.0.113.1 is on no directly connected prefix; there are 198.18.7.128/25 on far0, 198.18.0.0/24 on up0, 198.18.7.0/24 on up0",
  );
  assert.equal(
    await why(["route add 198.18.6.0/25 dev up0", ...COMMANDS], "203.0.113.1"),
    "203.0.113.1 is on no directly connected prefix; there are 198.18.6.0/25 on up0, 198.18.7.128/25 on far0, 198.18.0.0/24 on up0 and 1 more",
  );
  assert.equal(
    await why(["link set up0 down"], "2001:db8::2"),
    "2001:db8::2 is on no directly connected prefix; there is none for IPv6",
  );
});
