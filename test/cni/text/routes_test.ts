import assert from "node:assert/strict";
import { parseDns, parseRoutes } from "../../../src/cni/text/routes.ts";
import { assertRefuses } from "./refusals.ts";

Deno.test("parseRoutes() reads destination, gateway and what 1.1.0 adds", async (t) => {
  const rows: readonly [routes: unknown, expected: unknown][] = [
    [undefined, []],
    [null, []],
    [[], []],
    [
      [{ dst: "0.0.0.0/0" }],
      [{ family: 4, dst: "0.0.0.0/0", extras: {} }],
    ],
    [
      [{ dst: "10.0.0.0/8", gw: "172.16.0.9" }, { dst: "::/0", gw: "fd00::9" }],
      [
        { family: 4, dst: "10.0.0.0/8", gw: "172.16.0.9", extras: {} },
        { family: 6, dst: "::/0", gw: "fd00::9", extras: {} },
      ],
    ],
    [
      [{
        dst: "10.0.0.0/8",
        gw: null,
        mtu: 1400,
        advmss: 1360,
        priority: 100,
        table: 50,
        scope: 0,
        unknown: "x",
      }],
      [{
        family: 4,
        dst: "10.0.0.0/8",
        extras: { mtu: 1400, advmss: 1360, priority: 100, table: 50, scope: 0 },
      }],
    ],
  ];
  for (const [routes, expected] of rows) {
    await t.step(JSON.stringify(routes) ?? "none", () => {
      assert.deepEqual(parseRoutes({ ipam: { routes } }), expected);
    });
  }
});

Deno.test("parseRoutes() refuses what no kernel would take, naming the key", async (t) => {
  const rows: readonly [routes: unknown, text: string][] = [
    ["x", '"ipam.routes": "x" is not a list'],
    [{}, '"ipam.routes": an object is not a list'],
    [[1], '"ipam.routes[0]": 1 is not an object'],
    [[null], '"ipam.routes[0]": it is missing'],
    [[{}], '"ipam.routes[0].dst": it is missing'],
    [[{ dst: 1 }], '"ipam.routes[0].dst": 1 is not a string'],
    [[{ dst: "10.0.0.0" }], '"10.0.0.0" is not a prefix'],
    [[{ dst: "10.0.0.0/33" }], '"10.0.0.0/33" is not a prefix'],
    [[{ dst: "10.0.0.1/8" }], '"10.0.0.1/8" has bits set behind'],
    [
      [{ dst: "0.0.0.0/0" }, { dst: "0.0.0.0/0", gw: "x" }],
      '"ipam.routes[1].gw": "x" is not an address',
    ],
    [[{ dst: "0.0.0.0/0", gw: "" }], '"" is not an address'],
    [[{ dst: "0.0.0.0/0", gw: "fd00::1" }], "is no IPv4 address, as dst is"],
    [[{ dst: "::/0", gw: "10.0.0.1" }], "is no IPv6 address, as dst is"],
    [[{ dst: "::/0", mtu: "1500" }], '"ipam.routes[0].mtu": "1500" is not a'],
    [[{ dst: "::/0", table: -1 }], '"ipam.routes[0].table": -1 is not a whole'],
    [[{ dst: "::/0", scope: 1.5 }], "1.5 is not a whole number"],
  ];
  for (const [routes, text] of rows) {
    await t.step(JSON.stringify(routes), () => {
      assertRefuses(
        () => parseRoutes({ ipam: { routes } }),
        "invalid_config",
        text,
      );
    });
  }
});

Deno.test("parseDns() takes ipam.dns, else dns", async (t) => {
  const dns = {
    nameservers: ["10.0.0.1"],
    domain: "example",
    search: ["a.example", "b.example"],
    options: ["ndots:2"],
  };
  const other = { nameservers: ["10.0.0.2"] };
  const rows: readonly [config: Record<string, unknown>, expected: unknown][] =
    [
      [{}, {}],
      [{ dns: null, ipam: { dns: null } }, {}],
      [{ dns: {} }, {}],
      [{ dns }, dns],
      [{ dns: other, ipam: { dns } }, dns],
      [{ dns: { ...other, unknown: 1 } }, other],
    ];
  for (const [config, expected] of rows) {
    await t.step(JSON.stringify(config), () => {
      assert.deepEqual(parseDns(config), expected);
    });
  }
});

Deno.test("parseDns() refuses wrong types, naming the key", async (t) => {
  const rows: readonly [config: Record<string, unknown>, text: string][] = [
    [{ dns: "x" }, '"dns": "x" is not an object'],
    [{ dns: { nameservers: "x" } }, '"dns.nameservers": "x" is not a list'],
    [{ dns: { nameservers: [1] } }, '"dns.nameservers[0]": 1 is not a string'],
    [{ dns: { search: [null] } }, '"dns.search[0]": it is missing'],
    [{ dns: { domain: 1 } }, '"dns.domain": 1 is not a string'],
    [{ ipam: { dns: { options: {} } } }, '"ipam.dns.options": an object is'],
  ];
  for (const [config, text] of rows) {
    await t.step(JSON.stringify(config), () => {
      assertRefuses(() => parseDns(config), "invalid_config", text);
    });
  }
});
